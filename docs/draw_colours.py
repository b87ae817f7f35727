"""Draw docs/img/colours.jpg, one land under several climates by the network that ships: python docs/draw_colours.py."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from im2dem.core.raster import Raster
from im2dem.pipeline.colour import colour_dem
from im2dem.pipeline.terrain import TerrainOptions, generate_terrain

TARGET = Path(__file__).parent / "img/colours.jpg"
SIDE_PX, COLUMNS, SEED = 288, 4, 7
# recipe, climate, season
LANDS = (
    ("alps", None, None),
    ("alps", "temperate", "summer"),
    ("alps", "temperate", "winter"),
    ("alps", "arid", None),
    ("alps", "tropical", None),
    ("canyon", "arid", None),
    ("hills", "temperate", "autumn"),
    ("islands", "mediterranean", None),
)


def main() -> None:
    """Write the picture."""
    lands = {
        recipe: generate_terrain(TerrainOptions(recipe=recipe, size_px=SIDE_PX, seed=SEED))
        for recipe in {recipe for recipe, _, _ in LANDS}
    }
    sheet = Image.new("RGB", (COLUMNS * SIDE_PX, -(-len(LANDS) // COLUMNS) * SIDE_PX))
    for i, (recipe, climate, season) in enumerate(LANDS):
        picture = colour_dem(lands[recipe], engine="network", climate=climate, season=season)
        label = ", ".join(filter(None, (recipe, climate, season)))
        sheet.paste(_labelled(picture, label), (i % COLUMNS * SIDE_PX, i // COLUMNS * SIDE_PX))
    sheet.save(TARGET, quality=85, optimize=True)


def _labelled(picture: Raster, label: str) -> Image.Image:
    tile = Image.fromarray(np.moveaxis(np.nan_to_num(picture.data), 0, -1).clip(0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(tile)
    pen.rectangle(((0, 0), (pen.textlength(label) + 8, 14)), fill="white")
    pen.text((4, 1), label, fill="black")
    return tile


if __name__ == "__main__":
    main()
