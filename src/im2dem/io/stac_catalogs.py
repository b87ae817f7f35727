"""Where satellite pictures and global height models are to be had, and what they are called there."""

from __future__ import annotations

from dataclasses import dataclass

from im2dem.core.errors import UsageError


@dataclass(frozen=True)
class PictureCollection:
    """A collection of pictures in a catalogue.

    Parameters
    ----------
    collection
        Its id.
    sensor
        "sentinel-2" or "landsat": which quality layer and which scale apply.
    bands
        Assets of red, green, blue.
    quality
        Asset of the quality layer.
    gsd_m
        Pixel size of the bands.
    licence
        In words.
    """

    collection: str
    sensor: str
    bands: tuple[str, str, str]
    quality: str
    gsd_m: float
    licence: str


@dataclass(frozen=True)
class DemCollection:
    """A global height model in a catalogue.

    Parameters
    ----------
    collection
        Its id.
    asset
        Name of its raster.
    vertical_datum
        Of its heights.
    gsd_m
        Pixel size, about.
    is_sea_absent
        Whether there are no tiles over the open sea: a pixel of water without a tile is at height 0.
    licence
        In words.
    """

    collection: str
    asset: str
    vertical_datum: str
    gsd_m: float
    is_sea_absent: bool
    licence: str


@dataclass(frozen=True)
class Catalog:
    """A STAC API.

    Parameters
    ----------
    url
        Of its landing page.
    pictures, dems
        By the name that the command line uses.
    token_url
        Address that hands out tokens for reading, with ``{collection}`` in it; None: no token needed.
    """

    url: str
    pictures: dict[str, PictureCollection]
    dems: dict[str, DemCollection]
    token_url: str | None = None

    def picture(self, name: str) -> PictureCollection:
        """A picture collection by name.

        Raises
        ------
        UsageError
            The catalogue has no such pictures.
        """
        if name not in self.pictures:
            raise UsageError(f"{self.url} has pictures of {', '.join(self.pictures)}, not of {name}")
        return self.pictures[name]

    def dem(self, name: str) -> DemCollection:
        """A height model by name.

        Raises
        ------
        UsageError
            The catalogue has no such height model.
        """
        if name not in self.dems:
            raise UsageError(f"{self.url} has the height models {', '.join(self.dems)}, not {name}")
        return self.dems[name]


_SENTINEL = "contains modified Copernicus Sentinel data (free, full and open; attribution)"
_LANDSAT = "Landsat, U.S. Geological Survey (public domain)"
_COPERNICUS = "Copernicus GLO-30 DEM, DLR e.V. 2010-2014 and Airbus Defence and Space GmbH 2014-2018, provided under the European Union's and ESA's terms (free; attribution)"  # noqa: E501
_AW3D30 = "AW3D30, JAXA (free of charge; attribution)"

PLANETARY_COMPUTER = Catalog(
    "https://planetarycomputer.microsoft.com/api/stac/v1",
    {
        "sentinel-2": PictureCollection("sentinel-2-l2a", "sentinel-2", ("B04", "B03", "B02"), "SCL", 10.0, _SENTINEL),
        "landsat": PictureCollection("landsat-c2-l2", "landsat", ("red", "green", "blue"), "qa_pixel", 30.0, _LANDSAT),
    },
    {
        "cop30": DemCollection("cop-dem-glo-30", "data", "EGM2008", 30.0, True, _COPERNICUS),
        "aw3d30": DemCollection("alos-dem", "data", "EGM96", 30.0, False, _AW3D30),
    },
    "https://planetarycomputer.microsoft.com/api/sas/v1/token/{collection}",
)
EARTH_SEARCH = Catalog(
    "https://earth-search.aws.element84.com/v1",
    {"sentinel-2": PictureCollection("sentinel-2-l2a", "sentinel-2", ("red", "green", "blue"), "scl", 10.0, _SENTINEL)},
    {"cop30": DemCollection("cop-dem-glo-30", "data", "EGM2008", 30.0, True, _COPERNICUS)},
)
# Not a STAC API, but described alike; the address is the one that Earth Engine names for many small requests.
EARTH_ENGINE = Catalog(
    "https://earthengine-highvolume.googleapis.com",
    {
        "sentinel-2": PictureCollection(
            "COPERNICUS/S2_SR_HARMONIZED", "sentinel-2", ("B4", "B3", "B2"), "cs_cdf", 10.0, _SENTINEL
        )
    },
    {
        "cop30": DemCollection("COPERNICUS/DEM/GLO30", "DEM", "EGM2008", 30.0, True, _COPERNICUS),
        "aw3d30": DemCollection("JAXA/ALOS/AW3D30/V4_1", "DSM", "EGM96", 30.0, False, _AW3D30),
    },
)
CATALOGS = {"planetary-computer": PLANETARY_COMPUTER, "earth-search": EARTH_SEARCH}


def find_catalog(name: str) -> Catalog:
    """A catalogue by name, or one of the same layout at another address.

    Parameters
    ----------
    name
        A key of `CATALOGS`, or the address of a STAC API that has the collections of the Planetary Computer, e.g. a
        mirror. Its files are read without a token.

    Raises
    ------
    UsageError
        Neither.
    """
    if name in CATALOGS:
        return CATALOGS[name]
    if name.startswith(("http://", "https://")):
        return Catalog(name, PLANETARY_COMPUTER.pictures, PLANETARY_COMPUTER.dems)
    raise UsageError(f"catalogues are {', '.join(CATALOGS)} or the address of a STAC API, got {name!r}")
