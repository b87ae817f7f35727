// Shadows that mountains cast: one sweep over the raster in the direction of the light, a few operations a pixel.
//
// The height below which a pixel lies in shadow is handed on from the neighbour nearer to the sun: the greater of that
// neighbour's own height and of its shadow's, less what the ray falls on the way. Between two neighbours it is
// interpolated, so the direction of the light may be any.

/** Width of the soft edge, as a part of a pixel's way down the ray. */
const PENUMBRA = 1.2;

/**
 * @param terrain filled heights, ground frame
 * @param sun direction to the sun [x east, y up, z south], length one
 * @param out Uint8Array(width * height) to write into: 0 = lit, 255 = shadow
 */
export function castShadows(terrain, sun, out) {
  const { width, height, filled, metres } = terrain;
  const flat = Math.hypot(sun[0], sun[2]);
  if (sun[1] <= 0) return out.fill(255);
  if (flat < 1e-6) return out.fill(0);
  const [dc, dr] = terrain.pixel(sun[0] / flat, sun[2] / flat, true);
  const byRow = Math.abs(dr) >= Math.abs(dc);
  const lead = byRow ? dr : dc;
  // One step goes to the next row (or column) towards the sun: `side` columns aside, `fall` units of height down.
  const side = (byRow ? dc : dr) / Math.abs(lead);
  const fall = sun[1] / flat / Math.abs(lead) / metres;
  const [lines, count] = byRow ? [height, width] : [width, height];
  const [lineStep, step] = byRow ? [width, 1] : [1, width];
  const towards = lead > 0 ? 1 : -1;
  const soft = 255 / Math.max(PENUMBRA * fall, 1e-9);
  let before = new Float32Array(count).fill(-Infinity);
  let here = new Float32Array(count);
  for (let k = 0; k < lines; k++) {
    const line = towards > 0 ? lines - 1 - k : k;
    const base = line * lineStep;
    const upBase = base + towards * lineStep;
    for (let j = 0; j < count; j++) {
      const i = base + j * step;
      let edge = -Infinity;
      const x = j + side;
      if (k > 0 && x >= 0 && x <= count - 1) {
        const a = Math.floor(x);
        const b = a < count - 1 ? a + 1 : a;
        const part = x - a;
        const one = Math.max(before[a], filled[upBase + a * step]);
        const two = Math.max(before[b], filled[upBase + b * step]);
        edge = one + (two - one) * part - fall;
      }
      here[j] = edge;
      const depth = (edge - filled[i]) * soft;
      out[i] = depth > 0 ? (depth < 255 ? depth : 255) : 0;
    }
    [before, here] = [here, before];
  }
  return out;
}
