"""What a raster says and shows of itself in a notebook."""

from __future__ import annotations

import base64
import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from affine import Affine
from PIL import Image

from im2dem.core.grid import Grid
from im2dem.core.raster import Raster

GRID = Grid((30, 40), Affine(10, 0, 5e5, 0, -20, 5e6), "EPSG:32633")


def heights(**more):
    z = np.linspace(-12.34, 3776, 1200, dtype=np.float32).reshape(30, 40)
    z[:3, :10] = np.nan
    return Raster(np.stack([z, np.full((30, 40), 2.5, np.float32)]), GRID, ("height", "sigma"), **more)


def read(raster):
    """(rows of the table, picture, the whole text) by a reader that takes well-formed markup only."""
    text = raster._repr_html_()
    tree = ElementTree.fromstring(re.sub(r"(<img [^>]*)>", r"\1/>", text))
    rows = {row.find("th").text: row.find("td").text for row in tree.iter("tr")}
    source = tree.find("img").get("src")
    assert source.startswith("data:image/png;base64,")
    with Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))) as picture:
        return rows, picture.copy(), text


def test_the_table_says_what_the_raster_is():
    rows, picture, text = read(heights(vertical_datum="EGM2008"))
    assert rows == {
        "Size": "40 × 30 pixels",
        "System": "EPSG:32633 · WGS 84 / UTM zone 33N",
        "Ground step": rows["Ground step"],
        "Height": "19.26 to 3,776 m",  # the tenth of 1,199 steps: the first ten are empty
        "Sigma": "2.5 to 2.5 m",
        "Heights above": "EGM2008",
        "No data": "2.5 %",
    }
    # At the middle of its zone UTM shrinks lengths by 0.04 %.
    sides = [float(v) for v in re.findall(r"[\d.]+", rows["Ground step"])]
    assert sides == pytest.approx([10, 20], rel=1e-3)
    assert picture.size == (40, 30)
    assert "http" not in text


def test_nothing_is_claimed_that_is_not_known():
    rows, _, _ = read(Raster(np.full((1, 4, 5), np.nan), Grid.local((4, 5), None), ("height",), "px"))
    assert rows["System"] == "no reference system"
    assert rows["Ground step"] == "ground step unknown"
    assert rows["Height"] == "no value"
    assert rows["No data"] == "100.0 %"
    assert "relative" in rows["Heights above"]
    assert "Heights above" not in read(Raster(np.zeros((3, 4, 5)), GRID_SMALL, ("r", "g", "b"), "DN"))[0]


GRID_SMALL = Grid.local((4, 5), 2.0)


def test_names_are_not_markup():
    rows, _, text = read(Raster(np.zeros((1, 4, 5)), GRID_SMALL, ("<b onclick=x>",), "<i>"))
    assert "<b onclick" not in text
    assert "<i>" not in text
    assert "<b onclick=x>" in rows


def test_a_system_given_in_full_is_called_by_its_name():
    from pyproj import CRS

    text = CRS("EPSG:32633").to_wkt()
    rows, _, _ = read(Raster(np.zeros((1, 30, 40)), Grid((30, 40), GRID.transform, text), ("height",)))
    assert rows["System"] == "WGS 84 / UTM zone 33N"


def test_the_text_is_one_short_line():
    assert re.fullmatch(r"<Raster height, sigma: 40 × 30 pixels, EPSG:32633, [\d.]+ × [\d.]+ m>", repr(heights()))
