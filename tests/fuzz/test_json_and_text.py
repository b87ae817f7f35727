"""Any JSON and any text through the readers that take it: hypothesis looks for what makes them fall."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import drawing
from fakes import toy_card
from im2dem.core.errors import Im2DemError, InputError, ModelError
from im2dem.core.grid import Grid
from im2dem.dataset.area import read_area
from im2dem.dataset.pairs import pair_of
from im2dem.dataset.store import Store
from im2dem.dataset.verify import split_plan
from im2dem.io.points import place_points, read_points
from im2dem.pipeline.mosaic.index import scene_paths
from im2dem.runtime.card import load_card

GRID = Grid((40, 48), drawing.UTM_TRANSFORM, drawing.UTM)
QUICK = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

KEYS = st.sampled_from(
    ["type", "features", "geometry", "geometries", "coordinates", "properties", "crs", "name", "z", "sigma", "location",
     "scenes", "split", "shares", "request", "gsd_m", "licence", "metrics", "bands", "tile_px", "scaling"]
)  # fmt: skip
WORDS = st.sampled_from(
    ["Point", "MultiPoint", "Polygon", "Feature", "FeatureCollection", "GeometryCollection", "EPSG:4326"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=4), inner, max_size=5),
    max_leaves=12,
)


def _area(folder):
    read_area(folder / "x.geojson")


def _points(folder):
    place_points(read_points(folder / "x.geojson"), GRID)


def _index(folder):
    scene_paths(folder / "x.geojson")


def _pair(folder):
    (folder / "dem.tif").touch()
    (folder / "x.geojson").replace(folder / "meta.json")
    pair_of(folder)


def _card(folder):
    (folder / "x.geojson").replace(folder / "card.json")
    load_card(folder / "card.json")


def _set(folder):
    (folder / "x.geojson").replace(folder / "manifest.json")
    split_plan(Store(folder).manifest())


READERS = (_area, _points, _index, _pair, _card, _set)


@pytest.mark.parametrize("read", READERS)
@QUICK
@given(value=VALUES)
def test_any_json_is_read_or_refused(tmp_path, read, value):
    (tmp_path / "x.geojson").write_text(json.dumps(value))
    with suppress(Im2DemError):
        read(tmp_path)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("text", ["[" * 100_000, '{"properties":' * 100_000, "9" * 5000, '{"a": 1', b"\xff\xfe{", ""])
def test_json_that_cannot_be_parsed_is_the_input_s_fault(tmp_path, read, text):
    (tmp_path / "x.geojson").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises((InputError, ModelError)):
        read(tmp_path)


@QUICK
@given(known=st.dictionaries(st.sampled_from(sorted(toy_card().to_dict())), VALUES, min_size=1, max_size=3))
def test_a_card_with_any_values_is_read_or_refused(tmp_path, known):
    (tmp_path / "card.json").write_text(json.dumps(toy_card().to_dict() | known))
    with suppress(ModelError):
        card = load_card(tmp_path / "card.json")
        low, high = card.percentiles
        assert low <= high
        assert card.overlap_px < card.tile_px


@QUICK
@given(text=st.text(alphabet="xyz,;\t\n\"'#.-+e0123456789nai \u00e9\0", max_size=120))
def test_any_table_of_points_is_read_or_refused(tmp_path, text):
    (tmp_path / "x.csv").write_text(text)
    with suppress(InputError):
        place_points(read_points(tmp_path / "x.csv"), GRID)
