"""Draw the lines behind the server's page from the demo scene: python docs/draw_ridges.py DEM.tif.

DEM.tif is what `im2dem demo` makes. Profiles from west to east, the nearest in front; what a nearer one hides is left
out, so that the lines need no filling and take any colour of the page.
"""

import sys
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray

TARGET = Path(__file__).parents[1] / "src/im2dem/web/serve/static/ridges.svg"
LINES, POINTS = 30, 200
WIDTH, HEIGHT = 1600, 420
RELIEF = 190.0
FAINTEST = 0.16


def main(dem: str) -> None:
    """Write the picture."""
    with rasterio.open(dem) as file:
        z = file.read(1, out_shape=(LINES, POINTS), resampling=rasterio.enums.Resampling.average)
    z = (z - np.percentile(z, 2)) / (np.percentile(z, 99.5) - np.percentile(z, 2))
    # The ends sink to the ground, so that no line stops in the air.
    z = np.clip(z, 0, 1.15) * np.sin(np.linspace(0, np.pi, POINTS)) ** 0.35
    x = np.linspace(0, WIDTH, POINTS)
    ground = np.linspace(RELIEF, HEIGHT - 4, LINES)
    horizon = np.full(POINTS, np.inf)
    paths = []
    for i in reversed(range(LINES)):
        near = i / (LINES - 1)
        y = ground[i] - RELIEF * (0.55 + 0.45 * near) * z[i]
        seen = y < horizon
        opacity = FAINTEST + (1 - FAINTEST) * near**1.5
        paths.append(f'<path opacity="{opacity:.2f}" d="{path(x, y, seen)}"/>')
        horizon = np.minimum(horizon, y)
    TARGET.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" '
        'fill="none" stroke="#000" stroke-width="1.3" stroke-linejoin="round">'
        f"<style>path{{vector-effect:non-scaling-stroke}}</style>{''.join(paths)}</svg>\n",
        encoding="utf-8",
    )


def path(x: NDArray[np.floating], y: NDArray[np.floating], seen: NDArray[np.bool_]) -> str:
    """The seen parts of a line."""
    words, drawing = [], False
    for a, b, visible in zip(x, y, seen, strict=True):
        if visible:
            words.append(f"{'L' if drawing else 'M'}{a:.0f} {b:.0f}")
        drawing = bool(visible)
    return "".join(words)


if __name__ == "__main__":
    main(sys.argv[1])
