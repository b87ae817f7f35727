// The rims of the surface and the walls below them. A triangle that touches a gap counts as missing: gaps are holes.

/** Pairs of vertices [from, to, from, to ...] of the edges that only one triangle has: rims of raster and gaps. */
export function rims(heights, width, height) {
  const edges = [];
  const has = (row, col, upper) => {
    if (row < 0 || col < 0 || row >= height - 1 || col >= width - 1) return false;
    const a = row * width + col;
    const sum = heights[a + 1] + heights[a + width] + (upper ? heights[a] : heights[a + width + 1]);
    return sum === sum;
  };
  for (let row = 0; row < height; row++) {
    for (let col = 0; col < width; col++) {
      const a = row * width + col;
      const upper = has(row, col, true);
      if (col < width - 1 && upper !== has(row - 1, col, false)) edges.push(a, a + 1);
      if (row < height - 1 && upper !== has(row, col - 1, false)) edges.push(a, a + width);
      if (upper !== has(row, col, false)) edges.push(a + 1, a + width);
    }
  }
  return edges;
}

/** The rims of a raster without gaps: once around it. */
function border(width, height) {
  const edges = [];
  for (let col = 0; col < width - 1; col++) edges.push(col, col + 1, (height - 1) * width + col, (height - 1) * width + col + 1);
  for (let row = 0; row < height - 1; row++) edges.push(row * width, (row + 1) * width, (row + 1) * width - 1, (row + 2) * width - 1);
  return edges;
}

/** Walls below the rims: per corner [x, height, z, 1 at the foot and 0 at the top], and the triangles. */
export function walls(terrain) {
  const { width, height, heights, valid } = terrain;
  const edges = valid === width * height ? border(width, height) : rims(heights, width, height);
  const corners = new Float32Array(edges.length * 8);
  const index = new Uint32Array(edges.length * 3);
  for (let k = 0; k < edges.length; k++) {
    const [x, z] = terrain.ground(edges[k] % terrain.width, Math.floor(edges[k] / terrain.width));
    corners.set([x, terrain.heights[edges[k]], z, 0, x, terrain.heights[edges[k]], z, 1], 8 * k);
    if (k % 2) index.set([2 * k - 2, 2 * k - 1, 2 * k, 2 * k, 2 * k - 1, 2 * k + 1], 3 * (k - 1));
  }
  return { corners, index };
}
