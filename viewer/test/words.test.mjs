import assert from "node:assert/strict";
import test from "node:test";

import { layerRanges, legendOf } from "../src/layers.js";
import { HEIGHT_RAMP, SIGMA_RAMP, colourAt, rgb, texels } from "../src/ramps.js";
import { State } from "../src/state.js";
import { caution, coordinates, digitsFor, ground, niceLength, plain } from "../src/words.js";

test("scale bars have lengths of 1, 2 or 5", () => {
  for (const [given, wanted] of [[1, 1], [1.9, 1], [2, 2], [4.99, 2], [5, 5], [730, 500], [0.034, 0.02]]) {
    assert.ok(Math.abs(niceLength(given) - wanted) < 1e-12, `${given}`);
  }
});

test("lengths and places read as people write them", () => {
  assert.equal(ground(5000, "m"), "5 km");
  assert.equal(ground(200, "m"), "200 m");
  assert.equal(ground(200, "px"), "200 px");
  assert.equal(coordinates([-71.5, -33.25], true), "33.25000° S · 71.50000° W");
  assert.equal(coordinates([180.00375, -16], true), "16.00000° S · 179.99625° W");
  assert.equal(coordinates([-180.5, 1], true), "1.00000° N · 179.50000° E");
  assert.equal(coordinates([500005, 4999995], false), "x 500,005 · y 4,999,995");
});

test("level ground has a ramp to lie in, and a legend's marks differ however little the heights do", () => {
  const level = { width: 0, height: 0, low: 7, high: 7 };
  assert.deepEqual(layerRanges(level, null, null).height, [6.5, 7.5]);
  const payload = { height: { unit: "m" } };
  for (const [range, marks] of [
    [[6.5, 7.5], ["6.50", "7.00", "7.50"]], [[0, 0.0005], ["0.00000", "0.00025", "0.00050"]], [[0, 300], ["0", "150", "300"]],
  ]) {
    assert.deepEqual(legendOf("height", range, payload).marks, marks);
  }
});

test("what is rounded to zero has no minus", () => {
  assert.deepEqual([plain(-0.2), plain(-0), plain(-0.004, 2), plain(-0.6), plain(-0.006, 2)], ["0", "0", "0.00", "-1", "-0.01"]);
});

test("digits follow the range", () => {
  assert.equal(digitsFor(3000), 0);
  assert.equal(digitsFor(200), 1);
  assert.equal(digitsFor(5), 3);
  assert.equal(digitsFor(0), 1);
});

test("the page says what the heights are not", () => {
  const payload = (unit, datum, flat) => ({ height: { unit, datum }, grid: { unit: flat ? "px" : "m" } });
  assert.equal(caution(payload("m", "EGM2008", false)), "");
  assert.match(caution(payload("m", null, false)), /No vertical datum is stated: heights may be relative/);
  assert.match(caution(payload("px", null, true)), /Relative heights, no scale/);
  assert.match(caution(payload("m", "EGM2008", true)), /Pixel size unknown/);
});

test("ramps start and end at their stops and are 256 texels long", () => {
  for (const ramp of [HEIGHT_RAMP, SIGMA_RAMP]) {
    assert.deepEqual(colourAt(ramp, -1), rgb(ramp[0][1]));
    assert.deepEqual(colourAt(ramp, 2), rgb(ramp.at(-1)[1]));
    assert.equal(texels(ramp).length, 1024);
  }
});

test("listeners hear changes, and only changes", () => {
  const heard = [];
  const state = new State({ a: 1, b: 2 });
  state.listen((values, changed) => heard.push(changed));
  state.set({ a: 1 });
  state.set({ a: 5, b: 2 });
  assert.deepEqual(heard, [["a", "b"], ["a"]]);
});
