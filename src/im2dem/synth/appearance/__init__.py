"""A satellite view of a height model: ``albedo(cover) x light(sun, relief) + haze``, cloud, sensor, 8 bit.

Land cover follows the relief the way it does on Earth: fields and towns on valley floors, forest on slopes up to the
treeline of the latitude, rock where it is steep, snow above its line, water where it is flat and low. Everything
random comes from the `rng` of the call. Rendering needs Numba, the extra [synth]; drawing parameters does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .covers import COUNTRIES, REFLECTANCE
from .look import Appearance, draw_appearance, treeline_m, with_sun

if TYPE_CHECKING:
    from .picture import cast_shadow, light, render

__all__ = [
    "COUNTRIES",
    "REFLECTANCE",
    "Appearance",
    "cast_shadow",
    "draw_appearance",
    "light",
    "render",
    "treeline_m",
    "with_sun",
]


def __getattr__(name: str) -> Any:
    """Load what is compiled when it is first asked for: Numba takes half a second to import."""
    if name in ("cast_shadow", "light", "render"):
        from . import picture

        return getattr(picture, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
