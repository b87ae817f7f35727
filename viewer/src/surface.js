// Triangles of the surface and of the walls around it. A triangle that touches a gap is left out: gaps are holes.

/** Whole numbers 0, stride, 2 stride ... and always the last one. */
export function stops(count, stride) {
  const list = [];
  for (let i = 0; i < count - 1; i += stride) list.push(i);
  list.push(count - 1);
  return list;
}

/** Vertex numbers of the triangles, every `stride`-th row and column; they look up to the sky when `det` > 0. */
export function triangles(heights, width, height, stride, det = 1) {
  const rows = stops(height, stride);
  const cols = stops(width, stride);
  const index = new Uint32Array(6 * (rows.length - 1) * (cols.length - 1));
  let n = 0;
  for (let i = 0; i + 1 < rows.length; i++) {
    const above = rows[i] * width;
    const below = rows[i + 1] * width;
    for (let j = 0; j + 1 < cols.length; j++) {
      const a = above + cols[j], b = above + cols[j + 1], c = below + cols[j], d = below + cols[j + 1];
      const diagonal = heights[b] + heights[c];
      if (diagonal !== diagonal) continue;
      if (heights[a] === heights[a]) n = put(index, n, a, b, c, det);
      if (heights[d] === heights[d]) n = put(index, n, b, d, c, det);
    }
  }
  return index.subarray(0, n);
}

function put(index, n, a, b, c, det) {
  index[n] = a;
  index[n + 1] = det > 0 ? c : b;
  index[n + 2] = det > 0 ? b : c;
  return n + 3;
}

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
