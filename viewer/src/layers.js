// What can lie on the surface: names, colours, ranges. The number is the one the shader knows.

import { ASPECT_RAMP, ERROR_RAMP, HEIGHT_RAMP, SIGMA_RAMP, SLOPE_RAMP } from "./ramps.js";
import { range } from "./terrain.js";
import { digitsFor, plain, unitName } from "./words.js";

export const LAYERS = {
  image: { number: 0, label: "Image" },
  hillshade: { number: 1, label: "Hillshade" },
  height: { number: 2, label: "Height", ramp: HEIGHT_RAMP },
  slope: { number: 3, label: "Slope", ramp: SLOPE_RAMP },
  aspect: { number: 4, label: "Aspect", ramp: ASPECT_RAMP },
  sigma: { number: 5, label: "Sigma", ramp: SIGMA_RAMP },
  error: { number: 6, label: "Error", ramp: ERROR_RAMP },
};

/** Ranges of the layers of a page: {height: [low, high], slope: [0, top], sigma: ..., error: [-a, a]}. */
export function layerRanges(terrain, sigma, error) {
  return {
    height: apart(terrain.low, terrain.high),
    slope: [0, slopeTop(terrain)],
    aspect: [0, 360],
    sigma: sigma && [0, range(sigma)[1] || 1],
    error: error && evenly(error),
  };
}

/** Level ground lies in the middle of a ramp, which cannot be from a height to the same height. */
function apart(low, high) {
  return high > low ? [low, high] : [low - 0.5, high + 0.5];
}

/** Steepness that the ramp ends at: round, and above all but a hundredth of the surface. */
function slopeTop(terrain) {
  const { width, height } = terrain;
  const step = Math.max(1, Math.floor(Math.sqrt((width * height) / 20000)));
  const seen = [];
  for (let row = 0; row < height; row += step) for (let col = 0; col < width; col += step) {
    if (!Number.isNaN(terrain.heightAt(row, col))) seen.push(terrain.slopeDeg(row, col));
  }
  seen.sort((a, b) => a - b);
  const most = seen[Math.floor(0.99 * (seen.length - 1))] ?? 0;
  return [5, 10, 20, 30, 45, 60].find((top) => top >= most) ?? 90;
}

/** The same on both sides of zero, wide enough for all but a fiftieth of the differences. */
function evenly(error) {
  const step = Math.max(1, Math.floor(error.length / 50000));
  const seen = [];
  for (let i = 0; i < error.length; i += step) if (error[i] === error[i]) seen.push(Math.abs(error[i]));
  seen.sort((a, b) => a - b);
  const wide = seen[Math.floor(0.98 * (seen.length - 1))] || 1;
  return [-wide, wide];
}

/** {title, ramp, marks} of a layer with a ramp and a range, else null; the marks stand at even distances. */
export function legendOf(layer, range, payload) {
  const { ramp } = LAYERS[layer];
  if (!ramp || !range) return null;
  const wide = range[1] - range[0];
  const fine = wide < 0.1 ? Math.min(Math.ceil(1 - Math.log10(wide)), 9) : 2;
  const digits = digitsFor(wide) > 2 ? fine : wide < 20 ? 1 : 0;
  const marks = layer === "aspect" ? ["N", "E", "S", "W", "N"] : [0, 0.5, 1].map((t) => plain(range[0] + t * wide, digits));
  return { title: legendTitle(layer, payload), ramp, marks };
}

/** Words above a legend. */
function legendTitle(layer, payload) {
  const unit = unitName(payload.height.unit);
  const shift = payload.truth?.shift;
  return {
    height: `Height (${unit})`, slope: "Slope (degrees)", aspect: "Falls towards", sigma: `Uncertainty, one sigma (${unit})`,
    error: `Predicted minus truth (${unit})${shift ? ", offset removed" : ""}`,
  }[layer];
}
