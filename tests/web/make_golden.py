"""Makes golden-payload.json, which test_payload.py and viewer/test/payload.test.mjs both read.

Run ``python tests/web/make_golden.py`` after a change of the payload's version, and only then.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from im2dem.web.payload import PAYLOAD_FORMAT, PAYLOAD_VERSION, decode_heights, encode_heights

GOLDEN = Path(__file__).with_name("golden-payload.json")


def main() -> None:
    """Write the file: a smooth hill (predictor plane), white noise (left), eight bits, gaps."""
    rng = np.random.default_rng(7)
    rows, cols = np.mgrid[0:11, 0:9].astype(np.float32)
    hill = 1200 + 35 * rows + 20 * cols - 3 * (cols - 4) ** 2
    hill[3:6, 2:4] = np.nan
    hill[10, 8] = np.nan
    noise = rng.uniform(-400, 8800, (11, 9)).astype(np.float32)
    spread = rng.uniform(0, 30, (11, 9)).astype(np.float32)
    spread[0, 0] = np.nan
    fields = {
        "hill": encode_heights(hill),
        "noise": encode_heights(noise),
        "spread": encode_heights(spread, 8),
    }
    expected = {name: _rows(decode_heights(field)) for name, field in fields.items()}
    whole = {"format": PAYLOAD_FORMAT, "version": PAYLOAD_VERSION, "fields": fields, "expected": expected}
    GOLDEN.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


def _rows(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(v) else float(v) for v in values.ravel()]


if __name__ == "__main__":
    main()
