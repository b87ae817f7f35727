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
    this.bounds = this.around(0, 0, this.width - 1, this.height - 1);
    // Where there is something to be seen: without the empty margins.
    this.shown = this.around(...filledBox(heights, this.width, this.height));
    this.extent = Math.max(this.bounds.maxX - this.bounds.minX, this.bounds.maxZ - this.bounds.minZ);
  }

  /** Box on the ground around whole pixels, from the first to the last column and row. */
  around(firstCol, firstRow, lastCol, lastRow) {
    const [left, right, top, bottom] = [firstCol - 0.5, lastCol + 0.5, firstRow - 0.5, lastRow + 0.5];
    const corners = [[left, top], [right, top], [left, bottom], [right, bottom]].map(([c, r]) => this.ground(c, r));
    const [xs, zs] = [0, 1].map((axis) => corners.map((corner) => corner[axis]));
    return { minX: Math.min(...xs), maxX: Math.max(...xs), minZ: Math.min(...zs), maxZ: Math.max(...zs) };
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

/** [first column, first row, last column, last row] that hold a value; everything where none does. */
function filledBox(values, width, height) {
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let row = 0; row < height; row++) {
    const start = row * width;
    let first = 0;
    while (first < width && Number.isNaN(values[start + first])) first++;
    if (first === width) continue;
    let last = width - 1;
    while (Number.isNaN(values[start + last])) last--;
    [left, right, top, bottom] = [Math.min(left, first), Math.max(right, last), Math.min(top, row), row];
  }
  return bottom < 0 ? [0, 0, width - 1, height - 1] : [left, top, right, bottom];
}

/** The box around two boxes on the ground. */
export function union(a, b) {
  return {
    minX: Math.min(a.minX, b.minX), maxX: Math.max(a.maxX, b.maxX),
    minZ: Math.min(a.minZ, b.minZ), maxZ: Math.max(a.maxZ, b.maxZ),
  };
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
