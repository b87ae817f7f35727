// The height field on the ground: where a pixel lies, how high, how steep. No drawing.
//
// Ground frame: x east, z south, both from the middle of the raster, in ground units (metres, or pixels when their
// size is unknown). Heights stay in the raster's unit; `metres` brings them to ground units.

export class Terrain {
  /** @param filled heights without gaps (a value where `heights` has NaN); missing: there are no gaps */
  constructor(grid, metres, heights, filled = heights) {
    this.grid = grid;
    this.width = grid.width;
    this.height = grid.height;
    this.heights = heights;
    this.filled = filled;
    this.metres = metres;
    const [[ce, cn], [re, rn]] = grid.basis;
    this.col = [ce, -cn];
    this.row = [re, -rn];
    this.det = this.col[0] * this.row[1] - this.col[1] * this.row[0];
    [this.min, this.max, this.valid] = range(heights);
    // What is drawn at the foot and at the top: its own heights, or those of several surfaces together.
    this.low = this.min;
    this.high = this.max;
    const corners = [[-0.5, -0.5], [this.width - 0.5, -0.5], [-0.5, this.height - 0.5],
      [this.width - 0.5, this.height - 0.5]].map(([c, r]) => this.ground(c, r));
    this.bounds = {
      minX: Math.min(...corners.map((p) => p[0])), maxX: Math.max(...corners.map((p) => p[0])),
      minZ: Math.min(...corners.map((p) => p[1])), maxZ: Math.max(...corners.map((p) => p[1])),
    };
    this.extent = Math.max(this.bounds.maxX - this.bounds.minX, this.bounds.maxZ - this.bounds.minZ);
  }

  /** Ground position [x, z] of a pixel's centre. */
  ground(col, row) {
    const c = col + 0.5 - this.width / 2;
    const r = row + 0.5 - this.height / 2;
    return [this.col[0] * c + this.row[0] * r, this.col[1] * c + this.row[1] * r];
  }

  /** [col, row] (pixel centres at whole numbers) of a ground position or, with `free`, of a direction. */
  pixel(x, z, free = false) {
    const c = (x * this.row[1] - z * this.row[0]) / this.det;
    const r = (z * this.col[0] - x * this.col[1]) / this.det;
    return free ? [c, r] : [c + this.width / 2 - 0.5, r + this.height / 2 - 0.5];
  }

  /** Coordinates in the raster's reference system of a pixel's centre. */
  coordinates(col, row) {
    const [a, b, c, d, e, f] = this.grid.transform;
    return [a * (col + 0.5) + b * (row + 0.5) + c, d * (col + 0.5) + e * (row + 0.5) + f];
  }

  heightAt(row, col) {
    if (row < 0 || col < 0 || row >= this.height || col >= this.width) return NaN;
    return this.heights[row * this.width + col];
  }

  /** Steepness of the true surface at a pixel, degrees. */
  slopeDeg(row, col) {
    const [gc, gr] = this.gradient(row, col).map((v) => v * this.metres);
    const east = (gc * this.row[1] - gr * this.col[1]) / this.det;
    const south = (gr * this.col[0] - gc * this.row[0]) / this.det;
    return (Math.atan(Math.hypot(east, south)) * 180) / Math.PI;
  }

  /** Height change per step along columns and rows; one-sided beside a gap. */
  gradient(row, col) {
    const h = this.heights[row * this.width + col];
    return [
      slope(this.heightAt(row, col - 1), h, this.heightAt(row, col + 1)),
      slope(this.heightAt(row - 1, col), h, this.heightAt(row + 1, col)),
    ];
  }

  /**
   * Four numbers a pixel for shading: true slope east, true slope south (ground units per ground unit, never
   * exaggerated), height as a part of the range, 1; all four 0 where there is no data, so that interpolated values
   * divided by the fourth stay right along the edge of a gap. `write(i, number)` stores them.
   */
  relief(write) {
    const { width, height, heights, col, row, det, metres, min } = this;
    const span = this.max - min || 1;
    for (let r = 0, i = 0; r < height; r++) {
      for (let c = 0; c < width; c++, i++) {
        const h = heights[i];
        if (Number.isNaN(h)) continue;
        const gc = metres * slope(c > 0 ? heights[i - 1] : NaN, h, c < width - 1 ? heights[i + 1] : NaN);
        const gr = metres * slope(r > 0 ? heights[i - width] : NaN, h, r < height - 1 ? heights[i + width] : NaN);
        write(4 * i, (gc * row[1] - gr * col[1]) / det);
        write(4 * i + 1, (gr * col[0] - gc * row[0]) / det);
        write(4 * i + 2, (h - min) / span);
        write(4 * i + 3, 1);
      }
    }
  }
}

function slope(before, here, after) {
  if (before === before) return after === after ? (after - before) / 2 : here - before;
  return after === after ? after - here : 0;
}

/** [least, greatest, count] of the values that are there. */
export function range(values) {
  let min = Infinity;
  let max = -Infinity;
  let count = 0;
  for (let i = 0; i < values.length; i++) {
    const v = values[i];
    if (v !== v) continue;
    count++;
    if (v < min) min = v;
    if (v > max) max = v;
  }
  return [min, max, count];
}

/** Direction to the sun in the ground frame [x, y up, z]. */
export function sunDirection(azimuthDeg, elevationDeg) {
  const azimuth = (azimuthDeg * Math.PI) / 180;
  const elevation = (elevationDeg * Math.PI) / 180;
  const flat = Math.cos(elevation);
  return [Math.sin(azimuth) * flat, Math.sin(elevation), -Math.cos(azimuth) * flat];
}
