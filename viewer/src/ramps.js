// Colour ramps: one list of stops feeds the shader and the legend, so that they cannot disagree.

export const HEIGHT_RAMP = [
  [0, "#2f6f62"], [0.12, "#5f945f"], [0.28, "#a7b873"], [0.44, "#e0d296"], [0.6, "#cda26b"],
  [0.76, "#a0765a"], [0.9, "#b9aaa2"], [1, "#fdfcfa"],
];
export const SIGMA_RAMP = [[0, "#fff6d9"], [0.3, "#f7c784"], [0.6, "#dd6f74"], [0.85, "#8a3a83"], [1, "#3b1c59"]];

export const SLOPE_RAMP = [[0, "#f7f4ea"], [0.2, "#f5d98c"], [0.45, "#ea9a4f"], [0.7, "#c4473f"], [1, "#5d1846"]];
/** North, east, south, west and north again: a ramp without ends. */
export const ASPECT_RAMP = [
  [0, "#4f78c4"], [0.125, "#63b0c8"], [0.25, "#8fc27c"], [0.375, "#dcc95c"], [0.5, "#e8a04c"], [0.625, "#d9655c"],
  [0.75, "#b45a9b"], [0.875, "#7d62b8"], [1, "#4f78c4"],
];
export const ERROR_RAMP = [[0, "#2b5fa8"], [0.25, "#86b2d8"], [0.5, "#f4f1ea"], [0.75, "#e09a73"], [1, "#a8322d"]];

export function rgb(hex) {
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

/** Colour [r, g, b] (0..255) of a ramp at `t` (0..1). */
export function colourAt(ramp, t) {
  const x = Math.min(Math.max(t, 0), 1);
  let k = 1;
  while (k < ramp.length - 1 && ramp[k][0] < x) k++;
  const [t0, c0] = ramp[k - 1];
  const [t1, c1] = ramp[k];
  const part = (x - t0) / (t1 - t0);
  const [from, to] = [rgb(c0), rgb(c1)];
  return from.map((v, i) => v + (to[i] - v) * part);
}

/** 256 RGBA texels of a ramp. */
export function texels(ramp) {
  const out = new Uint8Array(1024);
  for (let i = 0; i < 256; i++) out.set([...colourAt(ramp, i / 255).map(Math.round), 255], 4 * i);
  return out;
}

export function cssGradient(ramp) {
  return `linear-gradient(to right, ${ramp.map(([t, c]) => `${c} ${100 * t}%`).join(", ")})`;
}
