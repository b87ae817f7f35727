// The pixel under a ray: a walk through the cells below the ray, so the cost is one row of pixels, not the raster.

/**
 * @param terrain heights and ground frame
 * @param origin, direction ray in the ground frame [x, y, z], y in ground units times `lift`
 * @param lift exaggeration (heights are drawn `lift * metres` high above the foot, terrain.low)
 * @returns {row, col, height, place: [col, row] between pixels} of the pixel nearest to the first hit, or null
 */
export function pick(terrain, origin, direction, lift) {
  const { width, height, heights, low: min } = terrain;
  const factor = lift * terrain.metres;
  const [c0, r0] = terrain.pixel(origin[0], origin[2]);
  const [dc, dr] = terrain.pixel(direction[0], direction[2], true);
  const top = (terrain.max - min) * factor;
  const bottom = (terrain.min - min) * factor;
  let near = 0;
  let far = Infinity;
  for (const [start, step, low, high] of [
    [c0, dc, 0, width - 1], [r0, dr, 0, height - 1], [origin[1], direction[1], bottom - 1e-9, top + 1e-9],
  ]) {
    if (Math.abs(step) < 1e-15) {
      if (start < low || start > high) return null;
      continue;
    }
    const one = (low - start) / step;
    const two = (high - start) / step;
    near = Math.max(near, Math.min(one, two));
    far = Math.min(far, Math.max(one, two));
  }
  if (near > far) return null;
  let col = cell(c0 + dc * near, width);
  let row = cell(r0 + dr * near, height);
  for (let t = near, guard = 2 * (width + height) + 8; guard > 0; guard--) {
    const nextC = Math.abs(dc) < 1e-15 ? Infinity : (col + (dc > 0 ? 1 : 0) - c0) / dc;
    const nextR = Math.abs(dr) < 1e-15 ? Infinity : (row + (dr > 0 ? 1 : 0) - r0) / dr;
    const out = Math.min(nextC, nextR, far);
    const hit = hitCell(heights, width, row, col, min, factor, origin[1], direction[1], c0, r0, dc, dr, t, out);
    if (hit !== null) return hit.inward ? nearest(terrain, c0 + dc * hit.t, r0 + dr * hit.t) : null;
    if (out >= far) return null;
    if (nextC <= nextR) col += dc > 0 ? 1 : -1;
    else row += dr > 0 ? 1 : -1;
    if (col < 0 || row < 0 || col > width - 2 || row > height - 2) return null;
    t = Math.max(t, out);
  }
  return null;
}

function cell(position, count) {
  return Math.min(Math.max(Math.floor(position), 0), count - 2);
}

function hitCell(heights, width, row, col, min, factor, y0, dy, c0, r0, dc, dr, t0, t1) {
  const i = row * width + col;
  const b = (heights[i + 1] - min) * factor;
  const c = (heights[i + width] - min) * factor;
  if (!(b + c === b + c)) return null;
  let best = null;
  for (const upper of [true, false]) {
    const corner = ((upper ? heights[i] : heights[i + width + 1]) - min) * factor;
    if (corner !== corner) continue;
    // In the cell, u to the right and v down: y = k + gu u + gv v on this triangle; so is the ray. Both are linear in t.
    const gu = upper ? b - corner : corner - c;
    const gv = upper ? c - corner : corner - b;
    const k = upper ? corner : b + c - corner;
    const denominator = dy - gu * dc - gv * dr;
    if (Math.abs(denominator) < 1e-15) continue;
    const t = (k + gu * (c0 - col) + gv * (r0 - row) - y0) / denominator;
    const slack = 1e-6 * (1 + Math.abs(t));
    if (t < t0 - slack || t > t1 + slack) continue;
    const side = c0 + dc * t - col + r0 + dr * t - row;
    if (upper ? side > 1 + 1e-6 : side < 1 - 1e-6) continue;
    // A ray that comes out of the surface went in through a wall: it shows no height.
    if (best === null || t < best.t) best = { t, inward: denominator < 0 };
  }
  return best;
}

function nearest(terrain, col, row) {
  const c = Math.min(Math.max(Math.round(col), 0), terrain.width - 1);
  const r = Math.min(Math.max(Math.round(row), 0), terrain.height - 1);
  const height = terrain.heightAt(r, c);
  return Number.isNaN(height) ? null : { row: r, col: c, height, place: [col, row] };
}
