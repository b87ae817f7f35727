"""Neighbouring terrain tiles: the same corners, heights and normals on the edge that they share."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine

from im2dem.core.grid import Grid
from im2dem.pipeline import export_cesium
from im2dem.pipeline.export_cesium import highest_level, piece_heights, piece_tiles

ZOOM = 11
SIDE_DEG = 180 / 2**ZOOM
WEST, SOUTH = 3601, 1435  # odd numbers: diagonals alternate from even ones
LEVEL = (WEST, WEST + 5), (SOUTH, SOUTH + 5)


class Hills:
    """Stands for a `Sampler`: heights by place, rough and smooth parts, so that meshes have work to do."""

    def sample(self, target: Grid) -> np.ndarray:
        t = target.transform
        x = (t.c + t.a * (np.arange(target.width) + 0.5) + 180) / SIDE_DEG * 64
        y = (t.f + t.e * (np.arange(target.height) + 0.5) + 90) / SIDE_DEG * 64
        smooth = 300 * np.sin(x / 37) + 200 * np.cos(y / 29)[:, None]
        rough = 60 * np.sin(1.7 * x) * np.sin(2.3 * y)[:, None] * (np.sin(x / 90) > 0.3)
        return (500 + smooth + rough).astype(np.float32)


def tiles(side: int) -> dict[tuple[int, int], bytes]:
    """All tiles of the level, made in pieces of `side` tiles."""
    made = {}
    for west in range(*LEVEL[0], side):
        for south in range(*LEVEL[1], side):
            piece = (west, min(west + side, LEVEL[0][1])), (south, min(south + side, LEVEL[1][1]))
            heights, grid = piece_heights(Hills(), ZOOM, piece, LEVEL)
            filled = np.where(np.isfinite(heights), heights, 0)
            made |= {(x, y): content for x, y, content in piece_tiles(filled, grid, ZOOM, piece)}
    return made


@pytest.fixture(scope="module")
def in_pieces() -> dict[tuple[int, int], bytes]:
    """Two tiles a side at a time, so that many neighbours come from different meshes."""
    return tiles(2)


def test_pieces_make_no_difference(in_pieces):
    whole = tiles(8)
    assert sorted(whole) == sorted(in_pieces)
    assert len(whole) == 25
    for place, content in whole.items():
        assert in_pieces[place] == content, place


def edges(content: bytes) -> dict[str, np.ndarray]:
    """(place along the edge, height, normal) of the corners on each edge of a tile, by an independent decoding."""
    low, high = np.frombuffer(content, "<f4", 2, 24)
    count = int(np.frombuffer(content, "<u4", 1, 88)[0])
    codes = np.frombuffer(content, "<u2", 3 * count, 92).astype(int).reshape(3, count)
    u, v, h = np.cumsum((codes >> 1) ^ -(codes & 1), axis=1)
    at = 92 + 6 * count
    triangles = int(np.frombuffer(content, "<u4", 1, at)[0])
    at += 4 + 6 * triangles
    found = {}
    normals = np.frombuffer(content[-2 * count :], np.uint8).reshape(count, 2)
    for name, along in (("west", v), ("south", u), ("east", v), ("north", u)):
        number = int(np.frombuffer(content, "<u4", 1, at)[0])
        corner = np.frombuffer(content, "<u2", number, at + 4)
        at += 4 + 2 * number
        found[name] = np.column_stack([along[corner], low + h[corner] / 32767 * (high - low), normals[corner]])
    return found


def test_neighbours_share_what_lies_on_their_edge(in_pieces):
    made = {place: edges(content) for place, content in in_pieces.items()}
    compared = 0
    for (x, y), own in made.items():
        for neighbour, side, other in (((x + 1, y), "east", "west"), ((x, y + 1), "north", "south")):
            if neighbour not in made:
                continue
            theirs = made[neighbour][other]
            np.testing.assert_array_equal(own[side][:, 0], theirs[:, 0])
            # Each tile has 32,767 steps between its own extremes, here at most 1,200 m: half a step on either side.
            np.testing.assert_allclose(own[side][:, 1], theirs[:, 1], atol=1200 / 32767)
            np.testing.assert_array_equal(own[side][:, 2:], theirs[:, 2:])
            compared += len(theirs)
    assert compared > 5 * 40  # forty edges, with more than their ends


@pytest.mark.parametrize(("gsd_m", "level"), [(30.0, 13), (1000.0, 8), (1e7, 0)])
def test_posts_are_no_closer_than_pixels(gsd_m, level):
    grid = Grid((10, 10), Affine(gsd_m, 0, 5e5, 0, -gsd_m, 1e6), "EPSG:32631")
    assert highest_level(grid) == level
    posts_m = 180 / 2**level / 64 * 111_320
    assert level == 0 or gsd_m <= posts_m < 2.01 * gsd_m
    assert export_cesium._AROUND % 2 == export_cesium._PIECE % 2 == 0
