import json

import numpy as np
import pytest
from affine import Affine

from im2dem.core.errors import InputError, UsageError
from im2dem.core.grid import Grid
from im2dem.io.points import place_points, read_points

GRID = Grid((50, 80), Affine(10, 0, 500_000, 0, -10, 4_000_000), "EPSG:32633")


def written(folder, text, name="p.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "500105,3999795,812.5\n",
        "# a comment\nx,y,z,sigma\n500105,3999795,812.5,1\n",
        "easting;northing;height\n500105;3999795;812.5\n",
        "500105\t3999795\t812.5\t1.0\n",
        "500105 3999795 812.5\n",
        "name,height,y,x\npeak,812.5,3999795,500105\n",
    ],
)
def test_tables_of_every_habit(tmp_path, text):
    points = read_points(written(tmp_path, text))
    placed = place_points(points, GRID)
    assert (placed.col[0], placed.row[0], placed.z[0], placed.sigma[0]) == (10.5, 20.5, 812.5, 1.0)
    assert placed.messages == ()


def test_longitude_and_latitude_from_three_formats_agree(tmp_path):
    lon, lat = GRID.lonlat(20.5, 10.5)
    csv = written(tmp_path, f"lon,lat,z\n{lon!r},{lat!r},812.5\n")
    feature = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [lon, lat]},
        "properties": {"ele": 812.5},
    }
    geo = written(tmp_path, json.dumps({"type": "FeatureCollection", "features": [feature]}), "p.geojson")
    gpx = written(
        tmp_path,
        f'<gpx xmlns="http://www.topografix.com/GPX/1/1"><wpt lat="{lat!r}" lon="{lon!r}"><ele>812.5</ele></wpt></gpx>',
        "p.gpx",
    )
    for path in (csv, geo, gpx):
        placed = place_points(read_points(path), GRID)
        # a millimetre, in pixels of 10 m
        np.testing.assert_allclose((placed.col[0], placed.row[0], placed.z[0]), (10.5, 20.5, 812.5), atol=1e-4)


def test_what_is_wrong_with_single_points_is_told(tmp_path):
    places = ("500105,3999795,800", "600000,3999795,800", "3999795,500105,800", "500106,3999796,802")
    text = "\n".join((*places, "500305,3999795,1", "500306,3999796,90"))
    placed = place_points(read_points(written(tmp_path, text)), GRID)
    told = "\n".join(placed.messages)
    assert "point 2" in told
    assert "point 3" in told
    assert told.count("outside") == 2
    assert told.count("x and y exchanged") == 1
    assert "points 1, 4 lie in one pixel: their mean" in told
    assert "points 5, 6 lie in one pixel and contradict each other by 89.0 m" in told
    np.testing.assert_allclose(placed.z, [801, 45.5])
    assert placed.sigma[1] > 40


def test_all_points_swapped_are_refused_with_the_remedy(tmp_path):
    with pytest.raises(InputError, match="x and y exchanged"):
        place_points(read_points(written(tmp_path, "3999795,500105,800\n")), GRID)
    with pytest.raises(InputError, match="--points-crs"):
        place_points(read_points(written(tmp_path, "1,2,800\n")), GRID)


def test_the_datum_of_the_points(tmp_path):
    path = written(tmp_path, "lon,lat,z\n15,36,5\n")
    assert read_points(path).vertical_datum is None
    assert read_points(path, "EPSG:4326+3855").vertical_datum == "EGM2008"
    assert read_points(path, "EPSG:4979").vertical_datum == "WGS84 ellipsoid"
    with pytest.raises(UsageError, match="EPSG:1"):
        read_points(path, "EPSG:1")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("p.csv", "1,2\n", "line 1"),
        ("p.csv", "x,y,z\n1,2,three\n", "line 2"),
        ("p.csv", "x,y,z\n1,2,nan\n", "line 2"),
        ("p.csv", "x,y,z,sigma\n1,2,3,0\n", "more than 0"),
        ("p.csv", "lat,z\n1,2\n", "wanted x, y, z"),
        ("p.csv", "", "no point"),
        ("p.geojson", "{", "GeoJSON"),
        ("p.geojson", '{"type":"Point","coordinates":[1,2]}', "no height"),
        ("p.gpx", "<gpx>", "GPX"),
        ("p.gpx", "<!DOCTYPE x [<!ENTITY a 'b'>]><gpx/>", "entities"),
        ("p.shp", "", "as .csv"),
    ],
)
def test_files_that_are_not_understood(tmp_path, name, text, said):
    with pytest.raises((InputError, UsageError), match=said):
        read_points(written(tmp_path, text, name))
