"""PMTiles: a whole pyramid of map tiles in one file that browsers read by ranges."""

from __future__ import annotations

import gzip
import hashlib
import json
import struct
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from im2dem.core.errors import NoDataError, UsageError

_ROOT_BYTES = 16_384 - 127
_GZIP, _NONE, _PNG = 2, 1, 2
_LARGEST_ZOOM = 26


@dataclass(frozen=True)
class _Entry:
    number: int
    offset: int
    length: int
    run: int


def tile_number(zoom: int, x: int, y: int) -> int:
    """Place of a map tile in the archive: all lower zooms first, then along the Hilbert curve.

    Parameters
    ----------
    zoom, x, y
        y counts from the north.

    Raises
    ------
    UsageError
        There is no such tile.

    >>> [tile_number(1, x, y) for x, y in ((0, 0), (0, 1), (1, 1), (1, 0))]
    [1, 2, 3, 4]
    """
    side = 1 << zoom
    if not (0 <= zoom <= _LARGEST_ZOOM and 0 <= x < side and 0 <= y < side):
        raise UsageError(f"there is no map tile {zoom}/{x}/{y}")
    number: int = (4**zoom - 1) // 3
    half = side >> 1
    while half:
        right, low = int(x & half > 0), int(y & half > 0)
        number += half * half * ((3 * right) ^ low)
        if not low:
            if right:
                x, y = side - 1 - x, side - 1 - y
            x, y = y, x
        half >>= 1
    return number


def write_pmtiles(
    sink: BinaryIO,
    tiles: Iterable[tuple[int, int, int, bytes]],
    metadata: Mapping[str, Any],
    bounds: tuple[float, float, float, float],
) -> int:
    """Write PNG tiles as one archive; equal tiles are stored once.

    Parameters
    ----------
    sink
        Where it goes.
    tiles
        (zoom, x, y, PNG), in any order; they wait in a temporary file, not in memory.
    metadata
        For the JSON section.
    bounds
        (west, south, east, north), degrees.

    Returns
    -------
    Number of tiles.

    Raises
    ------
    NoDataError
        There are no tiles.

    Source
    ------
    PMTiles specification, version 3 (Protomaps): chapters 3 (header), 4 (directories), 5 (metadata).
    """
    with tempfile.TemporaryFile() as spool:
        entries, zooms = _collect(spool, tiles)
        if not entries:
            raise NoDataError("not one map tile has a height in it; check the nodata value and the reference system")
        entries.sort(key=lambda entry: entry.number)
        order = sorted({entry.offset: entry.length for entry in entries}.items(), key=lambda item: item[0])
        first_use = {offset: k for k, offset in reversed(list(enumerate(entry.offset for entry in entries)))}
        order.sort(key=lambda item: first_use[item[0]])
        moved, total = {}, 0
        for offset, length in order:
            moved[offset] = total
            total += length
        final = _runs([_Entry(e.number, moved[e.offset], e.length, 1) for e in entries])
        root, leaves = _directories(final)
        about = gzip.compress(json.dumps(dict(metadata), ensure_ascii=False).encode("utf-8"), mtime=0)
        counts = (len(entries), len(final), len(order))
        sink.write(_header((root, about, leaves), total, counts, (min(zooms), max(zooms)), bounds))
        sink.write(root + about + leaves)
        for offset, length in order:
            spool.seek(offset)
            sink.write(spool.read(length))
    return len(entries)


def _collect(spool: Any, tiles: Iterable[tuple[int, int, int, bytes]]) -> tuple[list[_Entry], set[int]]:
    entries: list[_Entry] = []
    known: dict[bytes, int] = {}
    zooms: set[int] = set()
    for zoom, x, y, content in tiles:
        digest = hashlib.sha256(content).digest()
        if digest not in known:
            known[digest] = spool.tell()
            spool.write(content)
        entries.append(_Entry(tile_number(zoom, x, y), known[digest], len(content), 1))
        zooms.add(zoom)
    return entries, zooms


def _runs(entries: list[_Entry]) -> list[_Entry]:
    """Neighbours with the same content as one entry."""
    out: list[_Entry] = []
    for entry in entries:
        last = out[-1] if out else None
        if last and entry.offset == last.offset and entry.number == last.number + last.run:
            out[-1] = _Entry(last.number, last.offset, last.length, last.run + 1)
        else:
            out.append(entry)
    return out


def _directories(entries: list[_Entry]) -> tuple[bytes, bytes]:
    """The root directory and, when it would not fit into the first 16 KiB, the leaves under it."""
    root = _directory(entries)
    size = 4096
    leaves = b""
    while len(root) > _ROOT_BYTES:
        leaves, pointers = b"", []
        for start in range(0, len(entries), size):
            leaf = _directory(entries[start : start + size])
            pointers.append(_Entry(entries[start].number, len(leaves), len(leaf), 0))
            leaves += leaf
        root = _directory(pointers)
        size *= 2
    return root, leaves


def _directory(entries: list[_Entry]) -> bytes:
    out = bytearray(_varint(len(entries)))
    before = 0
    for entry in entries:
        out += _varint(entry.number - before)
        before = entry.number
    for entry in entries:
        out += _varint(entry.run)
    for entry in entries:
        out += _varint(entry.length)
    expected = -1
    for entry in entries:
        out += _varint(0 if entry.offset == expected else entry.offset + 1)
        expected = entry.offset + entry.length
    return gzip.compress(bytes(out), mtime=0)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _header(
    parts: tuple[bytes, bytes, bytes],
    data_bytes: int,
    counts: tuple[int, int, int],
    zooms: tuple[int, int],
    bounds: tuple[float, float, float, float],
) -> bytes:
    places, offset = [], 127
    for length in (*(len(part) for part in parts), data_bytes):
        places += [offset, length]
        offset += length
    degrees = [round(value * 1e7) for value in bounds]
    middle = [(degrees[0] + degrees[2]) // 2, (degrees[1] + degrees[3]) // 2]
    return (
        b"PMTiles\3"
        + struct.pack("<11Q", *places, *counts)
        + struct.pack("<6B", 1, _GZIP, _NONE, _PNG, *zooms)
        + struct.pack("<4iB2i", *degrees, zooms[0], *middle)
    )
