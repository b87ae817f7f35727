"""A TIFF that GDAL opens and complains of only when it is looked at."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

import drawing
from im2dem.core.errors import NotAnImageError
from im2dem.io.geotiff import open_dem, open_reader, read_raster


@pytest.mark.parametrize("opened", [open_reader, open_dem, read_raster])
def test_offsets_of_a_type_that_none_can_have_are_a_damaged_file(tmp_path: Path, opened) -> None:
    path = drawing.draw(tmp_path / "a.tif", drawing.colours(40, 48))
    data = bytearray(path.read_bytes())
    at = data.index(struct.pack("<H", 273))  # the tag StripOffsets; its type follows
    data[at + 2 : at + 4] = struct.pack("<H", 2)  # text
    path.write_bytes(data)
    with pytest.raises(NotAnImageError, match=r"a\.tif"):
        opened(path)
