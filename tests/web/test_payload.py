"""Encoded heights: small, exact to half a step, gaps kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from im2dem.core.errors import InputError, NoDataError, UsageError
from im2dem.web.payload import PAYLOAD_VERSION, decode_heights, encode_heights

GOLDEN = Path(__file__).with_name("golden-payload.json")
SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24)
VALUES = st.floats(-12000, 9000, width=32) | st.just(float("nan"))


def half_step(field):
    # Half a step of quantisation, and the rounding of the result to float32.
    return 0.5 * field["scale"] * (1 + 1e-9) + 1e-7 * (abs(field["offset"]) + 65535 * field["scale"])


@settings(max_examples=60, deadline=None)
@given(heights=hnp.arrays(np.float32, SHAPES, elements=VALUES), bits=st.sampled_from([8, 16]))
def test_round_trip_keeps_gaps_and_moves_nothing_by_more_than_half_a_step(heights, bits):
    if np.isnan(heights).all():
        with pytest.raises(NoDataError):
            encode_heights(heights, bits)
        return
    field = encode_heights(heights, bits)
    decoded = decode_heights(field)
    assert decoded.shape == heights.shape
    np.testing.assert_array_equal(np.isnan(decoded), np.isnan(heights))
    assert np.nanmax(np.abs(decoded.astype(float) - heights)) <= half_step(field)


def test_both_ends_of_the_range_are_kept():
    heights = np.linspace(-431.25, 8848.5, 600, dtype=np.float32).reshape(20, 30)
    decoded = decode_heights(encode_heights(heights))
    assert decoded.min() == np.float32(-431.25)
    assert decoded.max() == pytest.approx(8848.5, abs=1e-3)


def test_a_least_step_is_kept_and_saves_bytes():
    heights = np.random.default_rng(1).uniform(0, 100, (64, 64)).astype(np.float32)
    coarse, fine = encode_heights(heights, step=0.5), encode_heights(heights)
    assert coarse["scale"] == 0.5
    assert len(coarse["data"]) < 0.7 * len(fine["data"])
    # Half a step, and single precision at 100.
    np.testing.assert_allclose(decode_heights(coarse), heights, atol=0.25 + 1e-5)


def test_flat_field_is_exact():
    decoded = decode_heights(encode_heights(np.full((3, 4), 17.25, np.float32)))
    np.testing.assert_array_equal(decoded, np.float32(17.25))


def test_smooth_terrain_takes_far_less_than_its_sixteen_bits():
    rows, cols = np.mgrid[0:256, 0:256]
    heights = (400 * np.sin(rows / 40) * np.cos(cols / 31)).astype(np.float32)
    field = encode_heights(heights)
    assert field["predictor"] == "plane"
    # 16 bits in base64 would be 174,763 characters; a smooth surface must come to a third of it.
    assert len(field["data"]) < 58_000
    assert field["mask"] is None


def test_golden_file_still_reads_the_same():
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert golden["version"] == PAYLOAD_VERSION
    assert {field["predictor"] for field in golden["fields"].values()} == {"left", "plane"}
    for name, field in golden["fields"].items():
        values = [np.nan if v is None else v for v in golden["expected"][name]]
        np.testing.assert_array_equal(decode_heights(field).ravel(), np.array(values, np.float32))


def test_unusable_input_is_refused_in_words():
    with pytest.raises(UsageError, match="8 or 16 bits, got 12"):
        encode_heights(np.zeros((2, 2), np.float32), 12)
    with pytest.raises(UsageError, match="rows and columns"):
        encode_heights(np.zeros((1, 2, 2), np.float32))
    with pytest.raises(InputError, match="infinite"):
        encode_heights(np.array([[1, np.inf]], np.float32))


def test_damaged_field_is_refused():
    field = encode_heights(np.eye(4, dtype=np.float32))
    with pytest.raises(InputError, match="damaged"):
        decode_heights({**field, "data": field["data"][:-8]})
    with pytest.raises(InputError, match="were expected"):
        decode_heights({**field, "width": 5})
