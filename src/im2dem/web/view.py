"""`view`: a height model as a page to save, to open, or to see in a notebook."""

from __future__ import annotations

import html
import os
import tempfile
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from im2dem.core.protocols import RasterReader
from im2dem.core.raster import Raster
from im2dem.io.atomic import write_text
from im2dem.io.geotiff import open_dem, open_reader

from .page import HeightSource, PageOptions, build_page_from

RasterSource = Raster | str | os.PathLike[str]
_FRAME_HEIGHT_PX = 620


@dataclass(frozen=True, repr=False)
class View:
    """One finished page.

    Parameters
    ----------
    html
        The whole page; it needs no network and no other file.
    title
        Heading of the page.
    path
        Where it was saved, or None.
    """

    html: str
    title: str
    path: Path | None = None

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> View:
        """Write the page and return the view that knows its path.

        Raises
        ------
        OutputExistsError
            The file is there and `overwrite` is False.
        OutputError
            The folder is missing or cannot be written.
        """
        target = Path(path)
        write_text(target, self.html, overwrite=overwrite)
        return replace(self, path=target)

    def open(self) -> View:
        """Show the page in the browser, from a temporary file if it was never saved."""
        view = self if self.path else self.save(Path(tempfile.mkdtemp(prefix="im2dem-")) / "view.html")
        webbrowser.open(Path(view.path or "").resolve().as_uri())
        return view

    def _repr_html_(self) -> str:
        """The page in a frame of its own: no port, no server, nothing of the notebook can reach in."""
        return (
            f'<iframe srcdoc="{html.escape(self.html)}" title="{html.escape(self.title)}" '
            'sandbox="allow-scripts allow-downloads" allowfullscreen '
            f'style="width:100%;height:{_FRAME_HEIGHT_PX}px;border:0;border-radius:8px"></iframe>'
        )

    def __repr__(self) -> str:
        where = f", saved as {self.path}" if self.path else ""
        return f"<View {self.title!r}, {len(self.html) / 1e6:.1f} MB{where}>"


def view(
    dem: RasterSource,
    image: RasterSource | None = None,
    output: str | os.PathLike[str] | None = None,
    options: PageOptions | None = None,
    overwrite: bool = False,
    truth: RasterSource | None = None,
) -> View:
    """A 3D page of a height model, in one file.

    Parameters
    ----------
    dem
        Raster or path; heights in the first band, metres unless its unit says otherwise.
    image
        Raster or path of the picture to drape: of the same ground in any CRS, or of the same aspect ratio.
    output
        Where to save the page; None keeps it in memory.
    options
        Title, light, exaggeration, sizes. Without a title a path gives its name.
    overwrite
        Replace an existing `output`.
    truth
        Raster or path of true heights, metres: a surface to compare with, and the layer "error". Where `dem` has
        no vertical datum the median difference is taken off first, and the page says how much it was.

    Raises
    ------
    NotAnImageError, UnsupportedTypeError
        A path that leads to no readable raster.
    InputError
        Heights that are no surface, see `build_page`.
    GridMismatchError
        The image or the truth cannot be laid over the DEM.
    NoDataError
        Not one height, or none that the truth has too.
    UsageError
        A first layer that this page has not, or a date without a place.
    OutputExistsError, OutputError
        `output` is there already, or cannot be written.
    """
    options = options or PageOptions()
    if options.title == PageOptions.title and not isinstance(dem, Raster):
        options = replace(options, title=Path(dem).stem)
    with _heights(dem) as heights, _picture(image) as picture, _truth(truth) as true_heights:
        page = build_page_from(heights, picture, options, true_heights)
    finished = View(page, options.title)
    return finished.save(output, overwrite) if output is not None else finished


@contextmanager
def _heights(source: RasterSource) -> Iterator[HeightSource]:
    if isinstance(source, Raster):
        yield HeightSource(source, source.unit, source.vertical_datum)
    else:
        with open_dem(source, with_sigma=True) as reader:
            yield HeightSource(reader, reader.info.unit, reader.info.vertical_datum)


@contextmanager
def _picture(source: RasterSource | None) -> Iterator[RasterReader | None]:
    if source is None or isinstance(source, Raster):
        yield source
    else:
        with open_reader(source) as reader:
            yield reader


@contextmanager
def _truth(source: RasterSource | None) -> Iterator[RasterReader | None]:
    if source is None or isinstance(source, Raster):
        yield source
    else:
        with open_dem(source) as reader:
            yield reader
