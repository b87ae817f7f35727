// Longitude and latitude of a pixel from the lattice in the payload: no projection library, straight lines between knots.

/** [lon, lat] in degrees at (col, row) of the mesh (pixel centres at whole numbers), or null. */
export function lonLat(place, grid, col, row) {
  const lattice = place?.lattice;
  if (!lattice) return null;
  const { cols, rows, lon, lat } = lattice;
  // Knots lie at even parts of the source raster, from corner to corner; the mesh may reach a little beyond it.
  const u = (((col + 0.5) * grid.factor) / grid.source[0]) * (cols - 1);
  const v = (((row + 0.5) * grid.factor) / grid.source[1]) * (rows - 1);
  const c = Math.min(Math.max(Math.floor(u), 0), cols - 2);
  const r = Math.min(Math.max(Math.floor(v), 0), rows - 2);
  const [p, q] = [u - c, v - r];
  const at = (list) => {
    const i = r * cols + c;
    return (list[i] * (1 - p) + list[i + 1] * p) * (1 - q) + (list[i + cols] * (1 - p) + list[i + cols + 1] * p) * q;
  };
  return [((((at(lon) + 180) % 360) + 360) % 360) - 180, at(lat)];
}
