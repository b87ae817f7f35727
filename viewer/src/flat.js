// The page without WebGL: the same shading, computed here, on a plain 2D canvas.

import { sunDirection } from "./terrain.js";

/** RGBA bytes of a hillshade, true slopes, the gaps transparent. */
export function hillshade(terrain, azimuthDeg, elevationDeg) {
  const relief = new Float32Array(4 * terrain.width * terrain.height);
  terrain.relief((i, v) => { relief[i] = v; });
  const [sx, sy, sz] = sunDirection(azimuthDeg, elevationDeg);
  const out = new Uint8ClampedArray(relief.length);
  for (let i = 0; i < relief.length; i += 4) {
    if (!relief[i + 3]) continue;
    const length = Math.hypot(relief[i], 1, relief[i + 1]);
    const direct = Math.max(0, (-relief[i] * sx + sy - relief[i + 1] * sz) / length);
    const sky = 0.5 + 0.5 / length;
    out[i] = 255 * (0.86 * direct + 0.17 * sky);
    out[i + 1] = 255 * (0.843 * direct + 0.19 * sky);
    out[i + 2] = 255 * (0.808 * direct + 0.24 * sky);
    out[i + 3] = 255;
  }
  return out;
}

export function drawFlat(canvas, terrain, state) {
  canvas.width = terrain.width;
  canvas.height = terrain.height;
  const context = canvas.getContext("2d");
  if (!context) return;
  state.listen(({ sunAzimuth, sunElevation }) => {
    const pixels = hillshade(terrain, sunAzimuth, sunElevation);
    context.putImageData(new ImageData(pixels, terrain.width, terrain.height), 0, 0);
  });
}
