"""A picture on its way in: from the request to one file on the disk, and never whole in memory."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO

from .formats import ENOUGH_BYTES, IN_WORDS, ending_of
from .names import shown_name
from .options import Limits
from .problems import RefusedError

_MULTIPART = "multipart/form-data"
_FORM = "application/x-www-form-urlencoded"
_MOST_FIELDS = 16
_MOST_FIELD_BYTES = 1000
_MOST_HEAD_BYTES = 8192
_PAUSE_S = 30.0
_PART = "picture.part"
# Room for the words and borders of a form around the picture.
FRAME_BYTES = 64 * 1024


@dataclass(frozen=True)
class Upload:
    """A picture that came in whole.

    Parameters
    ----------
    name
        For people.
    ending
        Its file is called `picture.<ending>`.
    size_bytes
        Of the file.
    fields
        What else the form or the query said.
    """

    name: str
    ending: str
    size_bytes: int
    fields: Mapping[str, str]


async def receive(
    chunks: AsyncIterator[bytes], content_type: str, query: Mapping[str, str], folder: Path, limits: Limits
) -> Upload:
    """Write the picture of a request into a folder.

    Parameters
    ----------
    chunks
        The body as it comes.
    content_type
        Of the request: a form, or anything else for a body that is the picture itself.
    query
        Fields in the address; with a form they count too, those of the form first.
    folder
        There, empty, and this job's own.
    limits
        Of size, and of time: as long as a job.

    Raises
    ------
    RefusedError
        400 (no form, no picture, broken off), 408 (a pause of 30 seconds, or too slow), 413 (too large), 415 (another
        format).
    """
    path = folder / _PART
    with path.open("xb") as file:
        sink = _Sink(file, limits.upload_bytes)
        fields = dict(query)
        name = fields.pop("name", None)
        if content_type.split(";")[0].strip().lower() == _MULTIPART:
            form = _Form(content_type, sink)
            async for chunk in _steady(chunks, limits.seconds):
                form.feed(chunk)
            form.finish()
            name, fields = form.fields.pop("name", None) or form.file_name or name, {**fields, **form.fields}
        else:
            _refuse_form(content_type)
            async for chunk in _steady(chunks, limits.seconds):
                sink.write(chunk)
        ending = sink.finish()
        await asyncio.to_thread(_to_disk, file)
    os.replace(path, folder / f"picture.{ending}")
    return Upload(shown_name(name), ending, sink.size, fields)


async def drain(chunks: AsyncIterator[bytes], most_bytes: int, seconds: float) -> None:
    """Let the rest of a refused body come in, within reason: many clients read no answer before they have sent all."""
    left = most_bytes
    with suppress(TimeoutError, RuntimeError):
        async with asyncio.timeout(seconds):
            async for chunk in chunks:
                left -= len(chunk)
                if left < 0:
                    return


def _refuse_form(content_type: str) -> None:
    if content_type.split(";")[0].strip().lower() == _FORM:
        raise RefusedError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"send the picture as {_MULTIPART}, or as the body itself with a Content-Type such as image/tiff",
        )


def _to_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


async def _steady(chunks: AsyncIterator[bytes], seconds: float) -> AsyncIterator[bytes]:
    """The chunks, unless they pause or take too long: a connection that sleeps or drips holds a place in the queue."""
    end = time.monotonic() + seconds
    while True:
        try:
            async with asyncio.timeout(min(_PAUSE_S, max(0.0, end - time.monotonic()))):
                chunk = await anext(chunks, None)
        except TimeoutError:
            slow = f"nothing came for {_PAUSE_S:g} seconds, or not all within {seconds:g}"
            raise RefusedError(HTTPStatus.REQUEST_TIMEOUT, f"{slow}; send the picture again") from None
        if chunk is None:
            return
        yield chunk


class _Sink:
    """The picture's bytes: counted, and looked at as soon as there are enough of them."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file, self._most, self._head = file, most, b""
        self.size = 0

    def write(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > self._most:
            raise too_large(self._most)
        if len(self._head) < ENOUGH_BYTES:
            self._head += data[: ENOUGH_BYTES - len(self._head)]
            if len(self._head) == ENOUGH_BYTES:
                self._known()
        self._file.write(data)

    def finish(self) -> str:
        if self.size == 0:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "the picture is empty (0 bytes); choose a file with a picture")
        return self._known()

    def _known(self) -> str:
        ending = ending_of(self._head)
        if ending is None:
            raise RefusedError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"this file does not begin as a picture does; give a {IN_WORDS} file"
            )
        return ending


def too_large(most: int) -> RefusedError:
    """The refusal of a file with too many bytes."""
    return RefusedError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the file is larger than the {most / 1e6:,.0f} MB that this server takes; crop or compress the picture",
    )


class _Form:
    """A multipart form whose file goes to the sink while it comes in."""

    def __init__(self, content_type: str, sink: _Sink) -> None:
        from python_multipart import MultipartParser
        from python_multipart.multipart import parse_options_header

        self._options = parse_options_header
        boundary = self._options(content_type)[1].get(b"boundary", b"")
        if not 1 <= len(boundary) <= 70:  # RFC 2046, section 5.1.1
            raise RefusedError(HTTPStatus.BAD_REQUEST, "the form names no boundary in its Content-Type")
        self._sink = sink
        self.file_name: str | None = None
        self.fields: dict[str, str] = {}
        self._has_file = self._whole = False
        self._header, self._value = b"", b""
        self._disposition = ""
        self._field: str | None = None
        self._text = b""
        parser: Any = MultipartParser
        self._parser = parser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._on_header,
                "on_header_value": self._on_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._open,
                "on_part_data": self._data,
                "on_part_end": self._close,
                "on_end": self._end,
            },
        )

    def feed(self, chunk: bytes) -> None:
        from python_multipart.exceptions import FormParserError

        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise RefusedError(HTTPStatus.BAD_REQUEST, f"this is no proper form ({error})") from error

    def finish(self) -> None:
        if not self._whole:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "the form breaks off before its end; send it again")
        if not self._has_file:
            raise RefusedError(HTTPStatus.BAD_REQUEST, 'the form has no picture; put it into the field "file"')

    def _begin(self) -> None:
        self._header, self._value, self._disposition = b"", b"", ""

    def _on_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]
        self._check_head()

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._check_head()

    def _check_head(self) -> None:
        if len(self._header) + len(self._value) > _MOST_HEAD_BYTES:
            raise RefusedError(HTTPStatus.BAD_REQUEST, f"a head of the form is longer than {_MOST_HEAD_BYTES} bytes")

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value.decode("latin-1")
        self._header, self._value = b"", b""

    def _open(self) -> None:
        told = self._options(self._disposition)[1]
        name = told.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" in told or name == "file":
            if self._has_file or name != "file":
                raise RefusedError(HTTPStatus.BAD_REQUEST, 'give one picture, in the field "file"')
            self._has_file, self._field = True, None
            self.file_name = told.get(b"filename", b"").decode("utf-8", "replace")
        elif len(self.fields) >= _MOST_FIELDS:
            raise RefusedError(HTTPStatus.BAD_REQUEST, f"the form has more than {_MOST_FIELDS} fields")
        else:
            self._field, self._text = name, b""

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._field is None:
            self._sink.write(data[start:end])
            return
        self._text += data[start:end]
        if len(self._text) > _MOST_FIELD_BYTES:
            raise RefusedError(HTTPStatus.BAD_REQUEST, f"a field of the form is longer than {_MOST_FIELD_BYTES} bytes")

    def _close(self) -> None:
        if self._field is not None:
            self.fields[self._field] = self._text.decode("utf-8", "replace")

    def _end(self) -> None:
        self._whole = True
