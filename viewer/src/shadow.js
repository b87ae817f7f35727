// The soft shadow under the block: its outline, blurred, whatever shape gaps and rotation give it.

export const SHADOW_PX = 128;
/** Side of the shadow's square, as a part of the extent. */
export const SHADOW_SIZE = 1.4;
const RADIUS = 4;
const ROUNDS = 3;

/** Darkness (0 to 255) of a square around the middle of the terrain, rows from north to south. */
export function shadowMap(terrain) {
  let map = new Float32Array(SHADOW_PX * SHADOW_PX);
  const step = (SHADOW_SIZE * terrain.extent) / SHADOW_PX;
  for (let j = 0; j < SHADOW_PX; j++) {
    for (let i = 0; i < SHADOW_PX; i++) {
      const [col, row] = terrain.pixel((i + 0.5 - SHADOW_PX / 2) * step, (j + 0.5 - SHADOW_PX / 2) * step);
      map[j * SHADOW_PX + i] = Number.isNaN(terrain.heightAt(Math.round(row), Math.round(col))) ? 0 : 255;
    }
  }
  for (let k = 0; k < ROUNDS; k++) map = blurred(blurred(map, 1, SHADOW_PX), SHADOW_PX, 1);
  return Uint8Array.from(map, Math.round);
}

function blurred(map, step, line) {
  const out = new Float32Array(map.length);
  for (let k = 0; k < SHADOW_PX; k++) {
    let sum = 0;
    for (let i = -RADIUS; i < SHADOW_PX; i++) {
      if (i + RADIUS < SHADOW_PX) sum += map[k * line + (i + RADIUS) * step];
      if (i - RADIUS - 1 >= 0) sum -= map[k * line + (i - RADIUS - 1) * step];
      if (i >= 0) out[k * line + i * step] = sum / (2 * RADIUS + 1);
    }
  }
  return out;
}
