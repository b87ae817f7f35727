"""What grows and lies on the land: reflectances of covers and the kinds of country that combine them.

Reflectances are rounded from public spectral libraries and jittered in every picture.
"""

from __future__ import annotations

from dataclasses import dataclass

# Red, green, blue, near infrared, short-wave infrared.
REFLECTANCE: dict[str, tuple[float, float, float, float, float]] = {
    "conifer": (0.025, 0.040, 0.022, 0.22, 0.08),
    "broadleaf": (0.038, 0.068, 0.029, 0.38, 0.16),
    "leafless": (0.078, 0.068, 0.050, 0.20, 0.20),
    "autumn": (0.110, 0.075, 0.038, 0.30, 0.20),
    "jungle": (0.028, 0.058, 0.024, 0.36, 0.14),
    "shrub": (0.088, 0.085, 0.052, 0.22, 0.22),
    "grass": (0.080, 0.105, 0.052, 0.36, 0.22),
    "dry_grass": (0.180, 0.152, 0.098, 0.28, 0.34),
    "steppe": (0.165, 0.138, 0.095, 0.24, 0.32),
    "tundra": (0.120, 0.108, 0.070, 0.24, 0.26),
    "crop": (0.045, 0.085, 0.036, 0.45, 0.20),
    "stubble": (0.200, 0.165, 0.108, 0.28, 0.34),
    "soil": (0.170, 0.125, 0.085, 0.24, 0.32),
    "dark_soil": (0.090, 0.072, 0.052, 0.14, 0.20),
    "red_soil": (0.235, 0.150, 0.100, 0.32, 0.40),
    "sand": (0.330, 0.272, 0.198, 0.42, 0.50),
    "gravel": (0.210, 0.203, 0.188, 0.25, 0.27),
    "grey_rock": (0.150, 0.145, 0.135, 0.18, 0.20),
    "dark_rock": (0.078, 0.074, 0.070, 0.10, 0.13),
    "pale_rock": (0.290, 0.272, 0.240, 0.33, 0.36),
    "red_rock": (0.225, 0.150, 0.105, 0.30, 0.38),
    "snow": (0.820, 0.840, 0.860, 0.72, 0.08),
    "water": (0.020, 0.035, 0.045, 0.010, 0.005),
    "turbid": (0.085, 0.090, 0.065, 0.035, 0.010),
    "shallow": (0.035, 0.085, 0.095, 0.012, 0.005),
    "town": (0.165, 0.160, 0.152, 0.21, 0.21),
    "cloud": (0.760, 0.770, 0.790, 0.75, 0.60),
}


@dataclass(frozen=True)
class Country:
    """What covers a kind of country.

    Parameters
    ----------
    forest, open_land, ground, rock, alpine
        Covers of moist ground, of dry ground, of bare ground, of steep ground and of the land above the trees.
    fields
        Covers of parcels.
    forest_share
        Lowest and highest share of the land below the trees that is forest (or the country's green).
    aridity
        0 (streams lie in forest) to 1 (streams are dry beds and the land is bare).
    latitudes_deg
        Lowest and highest absolute latitude.
    weight
        How often it is drawn.
    """

    forest: str
    open_land: str
    ground: str
    rock: str
    alpine: str
    fields: tuple[str, ...]
    forest_share: tuple[float, float]
    aridity: float
    latitudes_deg: tuple[float, float]
    weight: float


COUNTRIES: dict[str, Country] = {
    "temperate_winter": Country(
        "conifer", "leafless", "dry_grass", "grey_rock", "tundra",
        ("soil", "stubble", "dry_grass", "grass", "dark_soil"), (0.2, 0.9), 0.1, (28, 60), 3.0,
    ),
    "temperate_summer": Country(
        "broadleaf", "grass", "shrub", "grey_rock", "grass",
        ("crop", "grass", "stubble", "soil", "broadleaf"), (0.3, 1.0), 0.0, (28, 62), 3.0,
    ),
    "autumn": Country(
        "autumn", "leafless", "grass", "grey_rock", "tundra",
        ("soil", "stubble", "grass", "dark_soil"), (0.3, 0.9), 0.1, (32, 60), 1.0,
    ),
    "alpine": Country(
        "conifer", "grass", "grass", "pale_rock", "grass",
        ("grass", "crop", "dry_grass"), (0.15, 0.8), 0.0, (25, 60), 2.5,
    ),
    "mediterranean": Country(
        "broadleaf", "shrub", "dry_grass", "pale_rock", "tundra",
        ("soil", "stubble", "crop", "dry_grass", "shrub"), (0.1, 0.7), 0.4, (28, 44), 2.0,
    ),
    "savanna": Country(
        "broadleaf", "dry_grass", "red_soil", "dark_rock", "steppe",
        ("red_soil", "stubble", "crop", "soil"), (0.1, 0.7), 0.4, (0, 28), 1.5,
    ),
    "steppe": Country(
        "shrub", "steppe", "soil", "grey_rock", "tundra",
        ("crop", "stubble", "soil"), (0.05, 0.5), 0.6, (20, 52), 2.0,
    ),
    "arid": Country(
        "shrub", "soil", "sand", "dark_rock", "soil",
        ("crop", "sand", "soil"), (0.0, 0.25), 0.9, (10, 42), 2.0,
    ),
    "red_desert": Country(
        "shrub", "red_soil", "sand", "red_rock", "red_rock",
        ("crop", "sand", "dry_grass"), (0.0, 0.3), 0.9, (12, 40), 1.5,
    ),
    "tropical": Country(
        "jungle", "grass", "red_soil", "dark_rock", "shrub",
        ("crop", "grass", "red_soil", "jungle"), (0.4, 1.0), 0.0, (0, 25), 1.5,
    ),
    "bare": Country(
        "tundra", "grey_rock", "gravel", "dark_rock", "grey_rock",
        ("soil", "gravel"), (0.0, 0.3), 0.7, (0, 70), 1.2,
    ),
}  # fmt: skip
