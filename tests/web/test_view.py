"""`view`: from rasters and paths to a page that is saved, opened or framed."""

from __future__ import annotations

import re
import webbrowser

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image

from im2dem.core.errors import OutputExistsError
from im2dem.core.grid import Grid
from im2dem.core.raster import Raster
from im2dem.web.page import PageOptions
from im2dem.web.view import view


@pytest.fixture
def dem():
    data = np.add.outer(np.arange(30.0), np.arange(20.0)).astype(np.float32)
    return Raster(data[None], Grid((30, 20), Affine(10, 0, 5e5, 0, -10, 5e6), "EPSG:32633"), ("height",))


@pytest.fixture
def files(tmp_path, dem):
    path = tmp_path / "hill.tif"
    profile = {"driver": "GTiff", "width": 20, "height": 30, "count": 1, "dtype": "float32", "nodata": -9999}
    with rasterio.open(path, "w", crs="EPSG:32633", transform=dem.grid.transform, **profile) as file:
        file.write(dem.data)
    picture = tmp_path / "hill.png"
    Image.new("RGB", (40, 60), (90, 120, 60)).save(picture)
    return path, picture


def test_paths_give_a_page_named_after_the_dem(files, tmp_path):
    made = view(*files, output=tmp_path / "scene.html")
    assert (tmp_path / "scene.html").read_text(encoding="utf-8") == made.html
    assert "<title>hill</title>" in made.html
    assert '"image":{"mime":"image/jpeg"' in made.html


def test_existing_output_is_kept_unless_asked(dem, tmp_path):
    target = tmp_path / "scene.html"
    target.write_text("mine")
    with pytest.raises(OutputExistsError):
        view(dem, output=target)
    assert target.read_text() == "mine"
    assert view(dem, output=target, overwrite=True).path == target
    assert target.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_notebook_gets_one_frame_with_the_whole_page(dem):
    made = view(dem, options=PageOptions(title='"quoted"'))
    frame = made._repr_html_()
    assert frame.startswith("<iframe srcdoc=")
    assert frame.count("<") == 2
    assert "allow-same-origin" not in frame
    assert len(re.findall('srcdoc="([^"]*)"', frame)[0]) > len(made.html)
    assert "MB" in repr(made)


def test_open_saves_and_calls_the_browser(dem, monkeypatch, tmp_path):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    made = view(dem).open()
    assert opened == [made.path.resolve().as_uri()]
    assert made.path.read_text(encoding="utf-8") == made.html


def test_truth_path_gives_the_error_layer(files, dem, tmp_path):
    path, picture = files
    made = view(path, picture, tmp_path / "both.html", truth=path)
    assert '"truth":{"field"' in made.html
    # The DEM's file has no vertical datum, so a shift is told even where it is nothing.
    assert '"shift":0.0' in made.html


def test_notebooks_find_the_frame_by_the_names_they_look_for(dem):
    formatters = pytest.importorskip("IPython.core.formatters", reason="IPython is not installed")
    made = view(dem)
    data, _ = formatters.DisplayFormatter().format(made)
    assert data["text/html"] == made._repr_html_()
    assert data["text/plain"].startswith("<View 'Elevation model'")
