"""Damaged copies of whole small inputs: what a broken disk, a broken network and a hostile hand make of a file.

An input is a folder: names with their bytes. One of its files is changed by a deed that fits its kind: bytes anywhere,
values and keys of JSON, words of text, or the members of a zip archive (.npz, checkpoints), which is packed again, so
that the checksum holds and the damage is seen.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np

Files = Mapping[str, bytes]
Deed = Callable[[np.random.Generator, bytes, bytes], bytes]

_JSON = (".json", ".geojson", ".jsonl")
_TEXT = (*_JSON, ".txt", ".csv", ".gpx", ".toml", ".vrt", ".xml", ".pgw", ".tfw", ".wld", ".lst")
_ZIPPED = (".npz", ".pt")
_DEEP = 100_000

# Of every width, at both ends of each type: what lengths, offsets, counts and sizes are replaced by.
_NUMBERS = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF, 2**40, 2**63 - 1, 2**64 - 1)
_WORDS = (
    "", "0", "-1", "1e999", "-1e999", "nan", "inf", "9" * 5000, "4294967296", "0x10", "1,5", "null", "true", "[]", "{}",
    '"', "'", "<", "<a>", "</a>", "\0", "\ufeff", "é", "\ud83d".encode("utf-16", "surrogatepass").decode("latin-1"),
    "../..", "/dev/null", "EPSG:4326", "EPSG:999999", "%s", "\r\n", "\n", ";", "#", "=", ",",
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 0.5, 2**31, 2**63, -(2**63), 10**400, 1e308, float("nan"), float("inf"), "", "x",
    "0", "9" * 5000, "\0", "../..", [], [[]], [None], ["x"], [1], [1, 2, 3, 4, 5], {}, {"": None}, {"a": {"b": []}},
)  # fmt: skip


_SHAPES = ((), (0,), (1,), (2,), (3, 2), (2, 3, 16, 16), (2, 16, 16), (1, 256, 256, 3), (1, 256, 256))
_TYPES = ("f4", ">f8", "i2", "u1", "?", "c8", "U3", "S2", "M8[s]", "f2", "i8")


def mutated(rng: np.random.Generator, inputs: Sequence[Files]) -> dict[str, bytes]:
    """A damaged copy of one of the inputs; one in ten times two of its files are damaged."""
    files = dict(inputs[rng.integers(len(inputs))])
    for _ in range(2 if rng.random() < 0.1 else 1):
        name = str(rng.choice(sorted(files)))
        other = inputs[rng.integers(len(inputs))]
        donor = other.get(name) or next(iter(other.values()))
        files[name] = _damaged(rng, name, files[name], donor)
    return files


def _damaged(rng: np.random.Generator, name: str, data: bytes, donor: bytes) -> bytes:
    chance = rng.random()
    if name.endswith(_JSON) and chance < 0.55:
        return _with_json_changed(rng, data)
    if name.endswith(_ZIPPED) and chance < 0.6:
        return _with_member_changed(rng, data, donor)
    if name.endswith(_TEXT) and chance < 0.85:
        return _with_words_changed(rng, data)
    for _ in range(int(rng.integers(1, 6))):
        data = _BYTE_DEEDS[rng.integers(len(_BYTE_DEEDS))](rng, data, donor)
    return data


def _place(rng: np.random.Generator, size: int) -> int:
    """Somewhere, half of the times in the first 512 bytes, where headers are."""
    if size == 0:
        return 0
    return int(rng.integers(min(size, 512) if rng.random() < 0.5 else size))


def _flip(rng: np.random.Generator, data: bytes, donor: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 9)) if out else 0):
        out[_place(rng, len(out))] ^= 1 << int(rng.integers(8))
    return bytes(out)


def _randomise(rng: np.random.Generator, data: bytes, donor: bytes) -> bytes:
    at, length = _place(rng, len(data)), int(rng.choice((1, 2, 4, 16, 64)))
    return data[:at] + rng.bytes(min(length, len(data) - at)) + data[at + length :]


def _truncate(rng: np.random.Generator, data: bytes, donor: bytes) -> bytes:
    return data[: int(rng.integers(len(data) + 1))]


def _drop(rng: np.random.Generator, data: bytes, donor: bytes) -> bytes:
    at = _place(rng, len(data))
    return data[:at] + data[at + int(rng.choice((1, 2, 4, 16, 200))) :]


def _repeat(rng: np.random.Generator, data: bytes, donor: bytes) -> bytes:
    at, length = _place(rng, len(data)), int(rng.choice((1, 4, 16, 200)))
    return data[:at] + data[at : at + length] * int(rng.integers(2, 5)) + data[at + length :]


def _splice(rng: np.random.Generator, data: bytes, donor: bytes) -> bytes:
    start, length = _place(rng, len(donor)), int(rng.integers(1, 257))
    at = _place(rng, len(data))
    piece = donor[start : start + length]
    return data[:at] + piece + data[at + len(piece) * int(rng.integers(2)) :]


def _field(rng: np.random.Generator, data: bytes, donor: bytes) -> bytes:
    """An odd number of 1, 2, 4 or 8 bytes in either order, written over what is there."""
    width, order = int(rng.choice((1, 2, 4, 8))), ("little", "big")[rng.integers(2)]
    value = _NUMBERS[rng.integers(len(_NUMBERS))] & (256**width - 1)
    at = _place(rng, len(data)) // width * width
    return data[:at] + value.to_bytes(width, order) + data[at + width :]  # type: ignore[arg-type]


def _length(rng: np.random.Generator, data: bytes, donor: bytes) -> bytes:
    """What looks like a length or an offset, a number of at most the file's size, made huge or a little too large."""
    width, order = int(rng.choice((2, 4, 8))), ("little", "big")[rng.integers(2)]
    for _ in range(64):
        at = _place(rng, len(data))
        value = int.from_bytes(data[at : at + width], order)  # type: ignore[arg-type]
        if 0 < value <= len(data) and at + width <= len(data):
            new = min(int(rng.choice((value + 1, 2 * value, 1000 * value, 256**width - 1))), 256**width - 1)
            return data[:at] + new.to_bytes(width, order) + data[at + width :]  # type: ignore[arg-type]
    return data


_BYTE_DEEDS: tuple[Deed, ...] = (_flip, _flip, _randomise, _truncate, _drop, _repeat, _splice, _field, _field, _length)


def _with_words_changed(rng: np.random.Generator, data: bytes) -> bytes:
    """Words between marks replaced by odd ones, lines repeated, exchanged and dropped, another encoding."""
    text = data.decode("utf-8", "replace")
    deed = rng.random()
    if deed < 0.05:
        return text.encode("utf-16")
    if deed < 0.3:
        lines = text.splitlines(keepends=True) or [""]
        at = int(rng.integers(len(lines)))
        lines[at : at + 1] = [[], [lines[at]] * 3, [lines[rng.integers(len(lines))]]][rng.integers(3)]
        return "".join(lines).encode()
    for _ in range(int(rng.integers(1, 4))):
        marks = [0, *(i for i, mark in enumerate(text) if mark in ' \n,;:="<>[]{}()')]
        k = int(rng.integers(len(marks)))
        start, stop = marks[k] + 1, (*marks, len(text))[k + 1]
        text = text[:start] + _WORDS[rng.integers(len(_WORDS))] + text[stop:]
    return text.encode("utf-8", "surrogatepass")


def _with_json_changed(rng: np.random.Generator, data: bytes) -> bytes:
    """Valid JSON with other values, fewer keys or no end of depth; of .jsonl one line."""
    lines = data.decode("utf-8", "replace").splitlines() or [""]
    whole = len(lines) > 1 and _is_json("\n".join(lines))
    text = "\n".join(lines) if whole else lines[at := int(rng.integers(len(lines)))]
    if rng.random() < 0.02:
        new = "[" * _DEEP if rng.random() < 0.5 else '{"a":' * _DEEP
    elif not _is_json(text):
        new = text
    else:
        holder = [json.loads(text)]
        for _ in range(int(rng.integers(1, 4))):
            _change_one(rng, holder)
        new = json.dumps(holder[0])
    if whole:
        return new.encode()
    lines[at] = new
    return "\n".join([*lines, ""]).encode()


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _change_one(rng: np.random.Generator, holder: list[Any]) -> None:
    """Go down from a list with the whole in it, and replace, drop or exchange what is met where the way ends."""
    inside: Any = holder
    while True:
        keys: list[Any] = list(inside) if isinstance(inside, dict) else list(range(len(inside)))
        if not keys:
            return
        key = keys[rng.integers(len(keys))]
        below = inside[key]
        if isinstance(below, dict | list) and below and rng.random() < (0.9 if inside is holder else 0.7):
            inside = below
            continue
        break
    deed = rng.random()
    if deed < 0.15 and inside is not holder:
        del inside[key]
    elif deed < 0.25:
        inside[key] = deepcopy(inside[keys[rng.integers(len(keys))]])
    elif deed < 0.35 and isinstance(inside, dict):
        inside["surplus"] = inside.pop(key)
    else:
        inside[key] = deepcopy(_VALUES[rng.integers(len(_VALUES))])


def _with_member_changed(rng: np.random.Generator, data: bytes, donor: bytes) -> bytes:
    """An archive with one member damaged, dropped, renamed or replaced by an array of another shape and type."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {info.filename: (archive.read(info), info.compress_type) for info in archive.infolist()}
    except Exception:  # damaged already; zipfile and zlib raise what they like
        return data
    name = sorted(members)[rng.integers(len(members))] if members else ""
    if not name:
        return data
    content, packing = members[name]
    deed = rng.random()
    if deed < 0.1:
        del members[name]
    elif deed < 0.15:
        members["surplus.npy"] = members.pop(name)
    elif deed < 0.4 and name.endswith(".npy"):
        members[name] = _odd_array(rng), packing
    else:
        members[name] = _BYTE_DEEDS[rng.integers(len(_BYTE_DEEDS))](rng, content, donor), packing
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for member, (content, packing) in members.items():
            archive.writestr(member, content, compress_type=packing)
    return out.getvalue()


def _odd_array(rng: np.random.Generator) -> bytes:
    shape = _SHAPES[rng.integers(len(_SHAPES))]
    dtype = _TYPES[rng.integers(len(_TYPES))]
    with np.errstate(all="ignore"):
        array = (rng.random(shape) * 255).astype("i8").astype(dtype)
        if array.dtype.kind == "f" and rng.random() < 0.3:
            array = np.full(shape, rng.choice((np.nan, np.inf, 1e38)), dtype)
    out = io.BytesIO()
    np.save(out, np.asfortranarray(array) if rng.random() < 0.2 else array)
    return out.getvalue()
