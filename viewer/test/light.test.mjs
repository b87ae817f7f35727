import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";

import { castShadows } from "../src/castshadow.js";
import { chooseInterval } from "../src/contours.js";
import { lonLat } from "../src/place.js";
import { clock, moment, sunAt } from "../src/solar.js";
import { Terrain, sunDirection } from "../src/terrain.js";

const golden = JSON.parse(await readFile(new URL("../../tests/web/golden-page.json", import.meta.url), "utf8"));

test("the sun stands where im2dem.core.sun says", () => {
  assert.ok(golden.sun.length > 50);
  for (const { utc, lon, lat, azimuth, elevation } of golden.sun) {
    const sun = sunAt(Date.parse(utc), lon, lat);
    // The same series in the same double precision; 1e-6 degrees is a millionth of the sun's own width.
    assert.ok(Math.abs(sun.elevation - elevation) < 1e-6, `${utc} ${lon} ${lat}: ${sun.elevation} ${elevation}`);
    const turn = Math.abs(((sun.azimuth - azimuth + 540) % 360) - 180);
    assert.ok(turn * Math.cos((elevation * Math.PI) / 180) < 1e-6, `${utc}: ${sun.azimuth} ${azimuth}`);
  }
});

test("contour intervals are those of im2dem.core.terrain", () => {
  for (const { low, high, interval } of golden.intervals) {
    assert.ok(Math.abs(chooseInterval(low, high) / interval - 1) < 1e-12, `${low} ${high}`);
  }
});

test("longitude and latitude from the lattice are those of PROJ", () => {
  for (const { place, grid, points, tolerance } of golden.places) {
    for (const [col, row, lon, lat] of points) {
      const [x, y] = lonLat(place, grid, col, row);
      // Twice what the writer allows between knots, where it looked only at the middles.
      assert.ok(Math.abs(y - lat) < tolerance, `${grid.name} ${y} ${lat}`);
      assert.ok(Math.abs(((x - lon + 540) % 360) - 180) < tolerance, `${grid.name} ${x} ${lon}`);
    }
  }
});

test("noon of mean solar time at 15 degrees east is eleven o'clock UTC", () => {
  assert.equal(new Date(moment("2021-06-21", 720, 15)).toISOString(), "2021-06-21T11:00:00.000Z");
  assert.ok(Number.isNaN(moment("", 720, 15)));
  assert.equal(clock(719.7), "12:00");
  assert.equal(clock(1439.9), "00:00");
});

function wall(basis = [[10, 0], [0, -10]]) {
  const [width, height] = [60, 50];
  const heights = new Float32Array(width * height);
  const grid = { width, height, basis, transform: [10, 0, 0, 0, -10, 0], factor: 1, source: [width, height] };
  const place = new Terrain(grid, 1, heights);
  // A wall 100 m high through the middle, across the way from north-west to south-east of the ground.
  for (let row = 0; row < height; row++) for (let col = 0; col < width; col++) {
    const [x, z] = place.ground(col, row);
    if (Math.abs(x + z) < 16) heights[row * width + col] = 100;
  }
  return new Terrain(grid, 1, heights);
}

test("a wall's shadow is as long as its height over the tangent, and lies away from the sun", () => {
  for (const basis of [[[10, 0], [0, -10]], [[8, 6], [6, -8]], [[10, 0], [0, 10]]]) {
    const terrain = wall(basis);
    for (const elevation of [30, 45]) {
      const out = new Uint8Array(60 * 50);
      castShadows(terrain, sunDirection(315, elevation), out);
      let [far, wrong] = [0, 0];
      for (let row = 0; row < 50; row++) for (let col = 0; col < 60; col++) {
        const [x, z] = terrain.ground(col, row);
        const away = (x + z) / Math.SQRT2;
        if (out[row * 60 + col] < 128) continue;
        // Sun in the north-west: shadows lie to the south-east, where x + z > 0.
        if (away < -16) wrong++;
        // Away from the rim, where the wall ends.
        if (Math.abs(x - z) < 150) far = Math.max(far, away);
      }
      assert.equal(wrong, 0);
      const long = 100 / Math.tan((elevation * Math.PI) / 180) + 11;
      // The edge is soft over a pixel's diagonal of 14 m, and so is the wall's own.
      assert.ok(Math.abs(far - long) < 22, `${basis} ${elevation}: ${far} instead of ${long}`);
    }
  }
});

test("no shadow under a sun overhead, all shadow at night, none on a plane", () => {
  const terrain = wall();
  const out = new Uint8Array(60 * 50);
  assert.ok(castShadows(terrain, [0, 1, 0], out).every((v) => v === 0));
  assert.ok(castShadows(terrain, sunDirection(10, -3), out).every((v) => v === 255));
  const plane = new Terrain(terrain.grid, 1, new Float32Array(3000).map((_, i) => (i % 60) * 2));
  assert.ok(castShadows(plane, sunDirection(250, 30), out).every((v) => v === 0));
});
