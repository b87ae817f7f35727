"""What becomes of the name that a stranger gave to a file: something to show, never a path."""

from __future__ import annotations

import unicodedata

_MOST = 80
_NAMELESS = "picture"


def shown_name(given: str | None) -> str:
    """A name for people from whatever a client sent.

    Folders are cut off, and characters that cannot be seen, break lines or turn the direction of writing; what is
    left is shortened in its middle. Files of the server are called by fixed names, so that nothing depends on this.

    Parameters
    ----------
    given
        As the client sent it, or None.

    >>> shown_name("../../etc/passwd"), shown_name("C:\\\\pictures\\\\a\\u202egpj.exe")
    ('passwd', 'agpj.exe')
    >>> shown_name(" \\x00"), shown_name(None)
    ('picture', 'picture')
    """
    text = unicodedata.normalize("NFC", given or "").replace("\\", "/").rsplit("/", 1)[-1]
    text = "".join(c for c in text if unicodedata.category(c)[0] not in "CZ" or c == " ")
    text = " ".join(text.split()).strip(". ")
    if len(text) > _MOST:
        half = _MOST // 2
        text = f"{text[: half - 1]}…{text[-half:]}"
    return text or _NAMELESS


def stem_of(name: str) -> str:
    """A shown name without its ending.

    >>> stem_of("scene.2021.tif"), stem_of(".tif"), stem_of("scene")
    ('scene.2021', '.tif', 'scene')
    """
    stem, dot, _ = name.rpartition(".")
    return stem if dot and stem else name
