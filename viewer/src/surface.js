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

/** Walls below the rims: per corner [x, height, z, 1 at the foot and 0 at the top], and the triangles. */
export function walls(terrain) {
  const edges = rims(terrain.heights, terrain.width, terrain.height);
  const corners = new Float32Array(edges.length * 8);
  const index = new Uint32Array(edges.length * 3);
  for (let k = 0; k < edges.length; k++) {
    const [x, z] = terrain.ground(edges[k] % terrain.width, Math.floor(edges[k] / terrain.width));
    corners.set([x, terrain.heights[edges[k]], z, 0, x, terrain.heights[edges[k]], z, 1], 8 * k);
    if (k % 2) index.set([2 * k - 2, 2 * k - 1, 2 * k, 2 * k, 2 * k - 1, 2 * k + 1], 3 * (k - 1));
  }
  return { corners, index };
}
