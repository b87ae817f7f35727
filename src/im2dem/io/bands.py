"""Which bands of a file make a picture, and how the file marks missing pixels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags

from im2dem.core.errors import UnsupportedTypeError, UsageError

PICTURE_BANDS = ("red", "green", "blue")

_RGB_ROLES = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
# Sentinel-2 and Harmonized Landsat Sentinel name their bands alike; stacks are mostly in order of
# wavelength, blue first. Landsat's own "B4" is left alone: near infrared until Landsat 7, red since Landsat
# 8.
_RGB_NAMES = (("red", "green", "blue"), ("b04", "b03", "b02"))
_LOSSY_LIMIT = 2.0


@dataclass(frozen=True)
class ReadPlan:
    """How `FileReader` turns bands of a file into values.

    Parameters
    ----------
    indexes
        Bands of the file, from 1, one for each name; may repeat.
    names
        Names of the bands that `read` returns.
    palette
        Shape (colour index, 4), red, green, blue, alpha 0..255: expands the one band to three. Or None.
    alpha
        Band of the file, from 1, whose zeros mask, or None.
    masked
        The file has a mask or several nodata values that only GDAL can evaluate.
    nodata
        One value (or None) for each of `indexes`.
    joint_nodata
        A pixel is missing only where *all* bands hold their nodata value.
    black_limit
        A pixel whose bands are all within +-limit is missing (nothing is declared); None switches that off.
    """

    indexes: tuple[int, ...]
    names: tuple[str, ...]
    palette: NDArray[np.uint8] | None = field(default=None, compare=False)
    alpha: int | None = None
    masked: bool = False
    nodata: tuple[float | None, ...] = ()
    joint_nodata: bool = False
    black_limit: float | None = None

    def nodata_in_words(self) -> str:
        """How missing pixels are marked, for people."""
        words = []
        declared = sorted({f"{value:g}" for value in self.nodata if value is not None})
        if declared:
            words.append("value " + ", ".join(declared) + (" in all bands" if self.joint_nodata else ""))
        if self.alpha is not None:
            words.append("alpha band")
        if self.masked:
            words.append("mask")
        if self.palette is not None and (self.palette[:, 3] == 0).any():
            words.append("transparent colours")
        if self.black_limit is not None:
            words.append("none declared, black pixels taken as missing")
        return "; ".join(words) or "none"


def picture_plan(dataset: Any, bands: tuple[int, ...] | None) -> ReadPlan:
    """The plan that reads a file as red, green, blue.

    Rules for missing pixels, in this order: a mask, an alpha band or a nodata value of the file is
    honoured. An unsigned integer that serves as nodata (0, 255) is also an ordinary brightness, so there a
    pixel is missing only where all bands read hold it; signed and floating point sentinels count band by
    band. When the file declares nothing, a pixel whose bands read are all exactly 0 is missing (at most 2
    after lossy compression).

    Parameters
    ----------
    dataset
        rasterio dataset, open for reading.
    bands
        Bands from 1 in the order red, green, blue (or one band for grey), or None: chosen by their names,
        then by their colour interpretation, else the first three.

    Raises
    ------
    UsageError
        `bands` has not 1 or 3 numbers, or one that the file does not have.
    UnsupportedTypeError
        Complex numbers, or two bands that are not grey and alpha.
    """
    _require_real(dataset)
    palette = _palette(dataset) if bands is None else None
    indexes = (1,) * 3 if palette is not None else _picture_indexes(dataset, bands)
    plan = _missing_rules(dataset, indexes, PICTURE_BANDS, palette)
    unsigned = all(np.issubdtype(np.dtype(dataset.dtypes[i - 1]), np.unsignedinteger) for i in plan.indexes)
    declared = any(value is not None for value in plan.nodata)
    silent = not declared and not plan.masked and plan.alpha is None
    if palette is not None and (palette[:, 3] == 0).any():
        silent = False
    return ReadPlan(
        plan.indexes,
        plan.names,
        palette=palette,
        alpha=plan.alpha,
        masked=plan.masked,
        nodata=plan.nodata,
        joint_nodata=unsigned and declared,
        black_limit=(_LOSSY_LIMIT if _is_lossy(dataset) else 0.0) if silent else None,
    )


def plain_plan(dataset: Any, indexes: tuple[int, ...], names: tuple[str, ...]) -> ReadPlan:
    """The plan that reads bands as they are: heights, or a whole raster.

    Parameters
    ----------
    dataset
        rasterio dataset, open for reading.
    indexes
        Bands from 1.
    names
        One name for each.

    Raises
    ------
    UsageError
        A band that the file does not have.
    UnsupportedTypeError
        Complex numbers.
    """
    _require_real(dataset)
    _require_bands(dataset, indexes)
    return _missing_rules(dataset, indexes, names, None)


def _missing_rules(
    dataset: Any, indexes: tuple[int, ...], names: tuple[str, ...], palette: NDArray[np.uint8] | None
) -> ReadPlan:
    # rasterio makes each of these anew for all bands when it is asked, so they are asked for once.
    all_flags, nodata = dataset.mask_flag_enums, dataset.nodatavals
    flags = {flag for index in indexes for flag in all_flags[index - 1]}
    alphas = [i for i, role in enumerate(dataset.colorinterp, start=1) if role == ColorInterp.alpha]
    has_alpha = bool(alphas) and alphas[0] not in indexes
    return ReadPlan(
        indexes,
        names,
        palette=palette,
        alpha=alphas[0] if has_alpha else None,
        # GDAL's "alpha" flag is the alpha band again; its "nodata" flag alone is compared in core.nodata.
        masked=MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags,
        nodata=tuple(nodata[index - 1] for index in indexes),
    )


def _picture_indexes(dataset: Any, bands: tuple[int, ...] | None) -> tuple[int, ...]:
    if bands is not None:
        if len(bands) not in (1, 3):
            raise UsageError(f"give 3 bands in the order red, green, blue, or 1 for grey; got {bands}")
        _require_bands(dataset, bands)
        return tuple(bands) * (3 // len(bands))
    roles = dataset.colorinterp
    free = [i for i in range(1, dataset.count + 1) if roles[i - 1] != ColorInterp.alpha]
    if len(free) == 1:
        return (free[0],) * 3
    if len(free) < 3:
        raise UnsupportedTypeError(
            f"{dataset.name}: has {len(free)} bands that are not grey and alpha, and a picture needs 1 or 3; "
            f"say which to use, e.g. --bands 1 for grey"
        )
    names = [(text or "").strip().lower() for text in dataset.descriptions]
    for wanted in _RGB_NAMES:
        if all(names.count(name) == 1 for name in wanted):
            return tuple(names.index(name) + 1 for name in wanted)
    if all(roles.count(role) == 1 for role in _RGB_ROLES):
        return tuple(roles.index(role) + 1 for role in _RGB_ROLES)
    return tuple(free[:3])


def _require_bands(dataset: Any, bands: tuple[int, ...]) -> None:
    for band in bands:
        if not 1 <= band <= dataset.count:
            raise UsageError(f"{dataset.name}: has bands 1 to {dataset.count}, so there is no band {band}")


def _require_real(dataset: Any) -> None:
    for dtype in dataset.dtypes:
        if "complex" in dtype or "cint" in dtype:
            raise UnsupportedTypeError(
                f"{dataset.name}: holds complex numbers ({dtype}), as radar products do; "
                f"convert it to amplitude first, or give an optical picture"
            )


def _palette(dataset: Any) -> NDArray[np.uint8] | None:
    """Colours by index, shape (n, 4), for the full range of the index type; None without a palette."""
    if dataset.colorinterp[0] != ColorInterp.palette or dataset.dtypes[0] not in ("uint8", "uint16"):
        return None
    table = np.zeros((np.iinfo(dataset.dtypes[0]).max + 1, 4), dtype=np.uint8)
    table[:, 3] = 255
    for index, colour in dataset.colormap(1).items():
        table[index] = colour
    return table


def _is_lossy(dataset: Any) -> bool:
    structure = dataset.tags(ns="IMAGE_STRUCTURE")
    return (
        dataset.driver == "JPEG"
        or structure.get("COMPRESSION", "").endswith("JPEG")
        or "LOSSY" in structure.get("COMPRESSION_REVERSIBILITY", "")
    )
