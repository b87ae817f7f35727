import assert from "node:assert/strict";
import test from "node:test";

import { layout } from "../src/chart.js";
import { paneAt, panes } from "../src/compare.js";
import { WHOLE, roomBeside } from "../src/room.js";
import { fileName } from "../src/download.js";
import { pose, turned } from "../src/flight.js";
import { commonPalette, indexed } from "../src/gif.js";
import { fromHash, toHash } from "../src/hash.js";
import { layerRanges } from "../src/layers.js";
import { area, csv, distance, samples, summary } from "../src/measure.js";
import { firstState } from "../src/state.js";
import { Terrain } from "../src/terrain.js";
import { floodCurve } from "../src/water.js";
import { squared } from "../src/words.js";

const grid = { width: 21, height: 11, basis: [[10, 0], [0, -10]], transform: [10, 0, 0, 0, -10, 0], factor: 1, source: [21, 11] };
const ramp = new Terrain(grid, 1, Float32Array.from({ length: 231 }, (_, i) => 3 * (i % 21)));
const near = (a, b, tolerance = 1e-9) => assert.ok(Math.abs(a - b) <= tolerance, `${a} is not ${b}`);

test("distance and area are those of the ground, for turned rasters too", () => {
  near(distance(ramp, [0, 0], [3, 4]), 50);
  near(area(ramp, [[0, 0], [10, 0], [10, 5], [0, 5]]), 5000);
  const turned30 = new Terrain({ ...grid, basis: [[8, 6], [6, -8]] }, 1, ramp.heights);
  near(distance(turned30, [0, 0], [3, 4]), 50);
  near(area(turned30, [[0, 0], [10, 0], [10, 5]]), 2500);
});

test("a profile goes through its points, evenly, and sums up", () => {
  const profile = samples(ramp, [[0, 2], [8, 2], [8, 8]]).map((p) => ({ ...p, height: 3 * p.col }));
  near(profile[0].distance, 0);
  near(profile.at(-1).distance, 140);
  assert.deepEqual([profile.at(-1).col, profile.at(-1).row], [8, 8]);
  const s = summary(ramp, profile);
  near(s.up, 24);
  near(s.down, 0);
  near(s.surface, 80 * Math.hypot(1, 0.3) + 60, 0.5);
  assert.equal(samples(ramp, [[1, 1]]).length, 0);
  near(samples(ramp, [[0, 0], [10, 0], [10, 5]], true).at(-1).distance, 100 + 50 + Math.hypot(100, 50));
});

test("the table has one line a sample, names with units, and gaps where nothing is known", () => {
  const text = csv([{ distance: 0, x: 5, y: 6, height: 1.23456 }, { distance: 10, x: 15, y: 6, height: NaN }], { ground: "m", height: "m" });
  assert.equal(text, "distance_m,x,y,height_m\r\n0,5,6,1.235\r\n10,15,6,\r\n");
});

test("a chart keeps its line inside, breaks it at gaps, and shows sigma in closed parts", () => {
  const profile = Array.from({ length: 40 }, (_, k) => ({ distance: 10 * k, height: k === 20 ? NaN : 5 * Math.sin(k / 4), sigma: k === 20 ? NaN : 1 }));
  const plan = layout(profile);
  assert.equal(plan.line.match(/M/g).length, 2);
  assert.equal(plan.band.match(/Z/g).length, 2);
  const ys = [...plan.line.matchAll(/ (-?[\d.]+)/g)].map((m) => Number(m[1]));
  assert.ok(Math.min(...ys) >= 8 && Math.max(...ys) <= 112);
  assert.ok(plan.rises.length >= 2 && plan.runs.length >= 3);
});

test("what goes into the address comes out of it, and nonsense is left out", () => {
  const payload = { view: { exaggeration: 2, sun_azimuth_deg: 315, sun_elevation_deg: 45 }, image: {}, place: { lon: 8, lat: 47 } };
  const first = firstState(payload, 0, 1000);
  const values = { ...first, exaggeration: 3.5, layer: "slope", water: true, waterLevel: 120, sunAzimuth: 100, sunElevation: 12,
    compare: "swipe", other: "dem:height", date: "2021-12-28", minutes: 600, theme: "dark", shadows: true, split: 0.25 };
  const view = { eye: [0.1, 0.5, 1.2], target: [0, 0.01, 0], frames: [{ eye: [1, 1, 1], target: [0, 0, 0] }, { eye: [0, 1, 1], target: [0, 0, 0.5] }],
    drawn: { kind: "area", places: [[0.25, 0.5], [0.125, 1], [0, 0.75]] } };
  const text = toHash(values, first, view);
  const allowed = { layer: ["image", "slope"], other: ["dem:height"], compare: ["swipe"], theme: ["dark"] };
  const back = fromHash(`#${text}`, allowed);
  assert.deepEqual({ ...first, ...back.values }, values);
  assert.deepEqual([back.eye, back.target, back.frames, back.drawn], [view.eye, view.target, view.frames, view.drawn]);
  assert.equal(toHash(first, first, null), "");
  const bad = fromHash("#layer=evil&x=-4&sun=1&eye=1,2,x,4,5,6&water=2&split=7&date=tomorrow&way=1:2&line=0.5,0.5:0.5,2&area=1&=", allowed);
  assert.deepEqual(bad, { values: {}, frames: [] });
});

test("panes of a swipe share one view, side by side each has its own half", () => {
  const state = { compare: "swipe", split: 0.3, layer: "image", other: "truth:height" };
  const [left, right] = panes(state);
  assert.deepEqual([left.to, right.from, right.surface, right.layer, right.width], [0.3, 0.3, "truth", "height", 1]);
  const side = panes({ ...state, compare: "side" });
  assert.deepEqual(side.map((p) => [p.x, p.width]), [[0, 0.5], [0.5, 0.5]]);
  assert.equal(paneAt(side, 0.7).surface, "truth");
  assert.equal(paneAt(side, 1).surface, "truth");
  assert.equal(panes({ ...state, compare: "off" }).length, 1);
  // A panel over the right quarter: borders move into the room, the last picture runs on under the panel.
  const [mine, other] = panes({ ...state, compare: "side" }, 0.75);
  assert.deepEqual([mine.width, other.x, other.width, other.to, mine.free, other.free], [0.375, 0.375, 0.625, 1, 0.375, 0.375]);
  near(panes(state, 0.75)[1].from, 0.225);
});

test("room is what lies left of a panel or above one across the window, all of it when folded, never nothing", () => {
  const box = { left: 0, top: 0, width: 1000, height: 800 };
  assert.deepEqual(roomBeside(box, null), WHOLE);
  assert.deepEqual(roomBeside(box, { left: 708, top: 16, width: 276 }), { width: 0.7, height: 1 });
  assert.deepEqual(roomBeside({ ...box, width: 400 }, { left: 10, top: 480, width: 380 }), { width: 1, height: 0.6 });
  assert.deepEqual(roomBeside({ ...box, width: 500 }, { left: 208, top: 16, width: 276 }), { width: 0.4, height: 1 });
  assert.deepEqual(roomBeside({ ...box, width: 400 }, { left: 10, top: 40, width: 380 }), { width: 1, height: 0.3 });
});

test("words from edge to edge of a phone stand above and below the room's middle, whether the panel is folded or not", () => {
  const box = { left: 0, top: 0, width: 400, height: 800 };
  const sheet = { left: 10, top: 480, width: 380 };
  const words = (bottom, top) => ({ above: { bottom }, below: { top } });
  assert.deepEqual(roomBeside(box, sheet, words(60, 380)), { width: 1, height: 0.55 });
  assert.deepEqual(roomBeside(box, null, words(60, 700)), { width: 1, height: 0.95 });
  assert.deepEqual(roomBeside(box, null, words(200, 790)), WHOLE);
});

test("a flight passes its key frames, starts and ends at rest; a full turn ends where it began", () => {
  const frames = [[0, 0], [1, 3], [4, 3], [6, 0]].map(([x, z]) => ({ eye: [x, 1, z], target: [x / 2, 0, 0] }));
  frames.forEach((frame, k) => pose(frames, k / 3).eye.forEach((v, axis) => near(v, frame.eye[axis])));
  const speed = (t) => Math.hypot(...pose(frames, t + 1e-4).eye.map((v, k) => v - pose(frames, t).eye[k])) / 1e-4;
  assert.ok(speed(0) < 0.02 && speed(1 - 1e-4) < 0.02 && speed(0.5) > 1);
  assert.equal(pose(frames.slice(0, 1), 0.4), frames[0]);
  turned(frames[1], 360).eye.forEach((v, k) => near(v, frames[1].eye[k]));
  const half = turned({ eye: [2, 1, 0], target: [1, 0, 0] }, 180).eye;
  [0, 1, 0].forEach((v, k) => near(half[k], v));
});

test("as much lies below the water as is lower", () => {
  const flooded = floodCurve(ramp);
  near(flooded(30), 10.5 / 21, 0.03);
  assert.deepEqual([flooded(-5), flooded(1000)], [0, 1]);
  assert.equal(squared(2.5e6, "m"), "2.5 km²");
  assert.equal(squared(900, "m"), "900 m²");
});

test("ranges: slope ends at a round number, error is even about zero", () => {
  const error = Float32Array.from({ length: 231 }, (_, i) => (i % 2 ? 4 : -9));
  const ranges = layerRanges(ramp, Float32Array.from({ length: 231 }, () => 2), error);
  assert.deepEqual(ranges.slope, [0, 20]);
  assert.deepEqual(ranges.error, [-9, 9]);
  assert.deepEqual(ranges.sigma, [0, 2]);
});

test("one palette serves a film: it has the colours of all pictures, and pixels between two colours take both", () => {
  const flat = (...colour) => new Uint8ClampedArray(Array.from({ length: 64 }, () => [...colour, 255]).flat());
  const palette = commonPalette([flat(0, 0, 0), flat(255, 255, 255), flat(20, 20, 200)]);
  const near = palette.map(([r, g, b]) => Math.abs(r - 20) + Math.abs(g - 20) + Math.abs(b - 200));
  assert.ok(Math.min(...near) < 16);
  const greys = [[100, 100, 100], [110, 110, 110]];
  const share = (grey) => indexed(flat(grey, grey, grey), 8, greys).reduce((sum, k) => sum + k, 0) / 64;
  assert.equal(share(90), 0);
  assert.equal(share(120), 1);
  assert.ok(share(105) > 0.3 && share(105) < 0.7);
  assert.ok(share(102) < share(108));
  // Black stays black and white stays white: nothing wraps around.
  const ends = [[0, 0, 0], [255, 255, 255]];
  assert.ok(indexed(flat(0, 0, 0), 8, ends).every((k) => k === 0));
  assert.ok(indexed(flat(255, 255, 255), 8, ends).every((k) => k === 1));
});

test("file names are safe", () => {
  assert.equal(fileName("A hill & <plain>/..", ".gif"), "A-hill-plain.gif");
  assert.equal(fileName("///", ".png"), "view.png");
});

test("a page with a moment opens with that day in solar time", () => {
  const payload = { view: { exaggeration: 1, sun_azimuth_deg: 0, sun_elevation_deg: 5, date_utc: "2021-12-28T01:10:00Z" }, place: { lon: 140.25, lat: 36 } };
  const state = firstState(payload, 0, 10);
  // 140.25 degrees are nine hours and 21 minutes.
  assert.deepEqual([state.date, state.minutes, state.shadows], ["2021-12-28", 631, true]);
});
