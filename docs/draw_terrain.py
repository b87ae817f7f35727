"""Draw docs/img/terrain.jpg, the ten recipes of artificial terrain as hillshades: python docs/draw_terrain.py."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from im2dem.core.terrain import hillshade
from im2dem.pipeline.terrain import TerrainOptions, generate_terrain
from im2dem.synth.recipes import RECIPES

TARGET = Path(__file__).parent / "img/terrain.jpg"
SIDE_PX, SHOWN_PX, COLUMNS = 576, 288, 5
SEED = 7
LABEL_PX = (71, 14)


def main() -> None:
    """Write the picture."""
    rows = -(-len(RECIPES) // COLUMNS)
    sheet = Image.new("L", (COLUMNS * SHOWN_PX, rows * SHOWN_PX))
    for i, name in enumerate(RECIPES):
        raster = generate_terrain(TerrainOptions(recipe=name, size_px=SIDE_PX, seed=SEED))
        gsd_m = raster.grid.gsd_m or 1.0
        shade = hillshade(raster.band("height"), (gsd_m, gsd_m))
        tile = Image.fromarray(np.rint(255 * np.nan_to_num(shade)).astype(np.uint8)).resize((SHOWN_PX, SHOWN_PX))
        corner = (i % COLUMNS * SHOWN_PX, i // COLUMNS * SHOWN_PX)
        draw = ImageDraw.Draw(tile)
        draw.rectangle(((0, 0), LABEL_PX), fill=255)
        draw.text((4, 1), name, fill=0)
        sheet.paste(tile, corner)
    sheet.save(TARGET, quality=85, optimize=True)


if __name__ == "__main__":
    main()
