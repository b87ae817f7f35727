"""Draw docs/img/terrain.jpg, the ten recipes as hillshades and as pictures: python docs/draw_terrain.py."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from im2dem.core.terrain import hillshade
from im2dem.pipeline.terrain import CLIMATE_OF, TerrainOptions, generate_terrain, photograph
from im2dem.synth.recipes import RECIPES

TARGET = Path(__file__).parent / "img/terrain.jpg"
SIDE_PX, SHOWN_PX, COLUMNS = 512, 256, 5
SEED = 7
LABEL_PX = (71, 14)


def main() -> None:
    """Write the picture: under each hillshade what a satellite would see."""
    rows = -(-len(RECIPES) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * SHOWN_PX, 2 * rows * SHOWN_PX))
    for i, name in enumerate(RECIPES):
        raster = generate_terrain(TerrainOptions(recipe=name, size_px=SIDE_PX, seed=SEED))
        gsd_m = raster.grid.gsd_m or 1.0
        shade = np.rint(255 * np.nan_to_num(hillshade(raster.band("height"), (gsd_m, gsd_m)))).astype(np.uint8)
        seen = np.moveaxis(photograph(raster, climate=CLIMATE_OF.get(name)).data, 0, -1).astype(np.uint8)
        left, top = i % COLUMNS * SHOWN_PX, 2 * (i // COLUMNS) * SHOWN_PX
        for k, pixels in enumerate((shade, seen)):
            sheet.paste(Image.fromarray(pixels).resize((SHOWN_PX, SHOWN_PX)), (left, top + k * SHOWN_PX))
        pen = ImageDraw.Draw(sheet)
        pen.rectangle(((left, top), (left + LABEL_PX[0], top + LABEL_PX[1])), fill="white")
        pen.text((left + 4, top + 1), name, fill="black")
    sheet.save(TARGET, quality=80, optimize=True)


if __name__ == "__main__":
    main()
