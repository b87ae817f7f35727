import assert from "node:assert/strict";
import test from "node:test";

import { pick } from "../src/pick.js";
import { SHADOW_PX, shadowMap } from "../src/shadow.js";
import { rims, walls } from "../src/surface.js";
import { Terrain, sunDirection, union } from "../src/terrain.js";

const UPRIGHT = [[10, 0], [0, -10]];
const TURNED = [[8, 6], [5, -9]];
const MIRRORED = [[10, 0], [0, 10]];

function terrain(width, height, heightOf, basis = UPRIGHT, metres = 1) {
  const heights = new Float32Array(width * height);
  for (let i = 0; i < heights.length; i++) heights[i] = heightOf(i % width, Math.floor(i / width));
  const grid = { width, height, basis, transform: [10, 0, 1000, 0, -10, 2000], factor: 1, source: [width, height] };
  return new Terrain(grid, metres, heights);
}

test("pixel undoes ground, for any basis", () => {
  for (const basis of [UPRIGHT, TURNED, MIRRORED]) {
    const t = terrain(7, 5, () => 0, basis);
    const [col, row] = t.pixel(...t.ground(5, 1));
    assert.ok(Math.abs(col - 5) < 1e-9 && Math.abs(row - 1) < 1e-9);
  }
});

test("rows of an upright raster lead south, and coordinates are those of pixel centres", () => {
  const t = terrain(7, 5, () => 0);
  assert.ok(t.ground(0, 4)[1] > t.ground(0, 0)[1]);
  assert.deepEqual(t.coordinates(0, 0), [1005, 1995]);
});

test("what is shown ends where the heights end, and a gap inside changes nothing", () => {
  const part = (keep) => terrain(8, 6, (c, r) => (keep(c, r) ? 1 : NaN));
  assert.deepEqual(part(() => true).shown, part(() => true).bounds);
  assert.deepEqual(part((c, r) => c !== 4 || r !== 3).shown, part(() => true).bounds);
  // Pixels of 10 m around the middle (0, 0) of 80 m x 60 m: columns 2 to 6, rows 1 to 3.
  const some = part((c, r) => (c === 2 && r === 3) || (c === 6 && r === 1)).shown;
  assert.deepEqual(some, { minX: -20, maxX: 30, minZ: -20, maxZ: 10 });
  assert.deepEqual(part(() => false).shown, part(() => true).bounds);
  assert.deepEqual(union(some, { minX: 0, maxX: 40, minZ: -30, maxZ: 0 }), { minX: -20, maxX: 40, minZ: -30, maxZ: 10 });
});

test("slopes of a plane are exact everywhere, gaps and rims included, in true ground units", () => {
  for (const basis of [UPRIGHT, TURNED, MIRRORED]) {
    const flat = terrain(8, 6, () => 0, basis);
    const t = terrain(8, 6, (c, r) => {
      const [x, z] = flat.ground(c, r);
      return c === 3 && r === 2 ? NaN : 0.25 * x - 0.5 * z;
    }, basis, 2);
    let seen = 0;
    t.relief((i, v) => {
      // float32 heights of about 40 carry 4e-6; divided by a pixel of 10 that is far below 1e-5.
      if (i % 4 === 0) assert.ok(Math.abs(v - 0.5) < 1e-5, `east ${v}`);
      if (i % 4 === 1) assert.ok(Math.abs(v + 1) < 1e-5, `south ${v}`);
      seen++;
    });
    assert.equal(seen, 4 * 47);
  }
});

test("the sun of the north-west stands in the north-west", () => {
  const [x, y, z] = sunDirection(315, 45);
  assert.ok(x < 0 && z < 0 && Math.abs(y - Math.SQRT1_2) < 1e-12);
});

test("rims go once around the raster and once around a gap", () => {
  assert.equal(rims(new Float32Array(20), 5, 4).length / 2, 2 * (4 + 3));
  // A raster without gaps takes a shorter way to the same walls.
  const pairs = (list) => new Set(list.map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`));
  const flat = terrain(5, 4, () => 0);
  const { corners: around } = walls(flat);
  const ends = [];
  for (let k = 0; k < around.length; k += 16) {
    const ids = [0, 8].map((o) => flat.pixel(around[k + o], around[k + o + 2])).map(([c, r]) => Math.round(r) * 5 + Math.round(c));
    ends.push(ids);
  }
  const all = rims(new Float32Array(20), 5, 4);
  assert.deepEqual(pairs(ends), pairs(all.flatMap((v, k) => (k % 2 ? [] : [[v, all[k + 1]]]))));
  const t = terrain(6, 6, (c, r) => (c === 2 && r === 3 ? NaN : 1));
  // The gap takes away six triangles: a hexagon.
  assert.equal(rims(t.heights, 6, 6).length / 2, 20 + 6);
  const { corners, index } = walls(t);
  assert.equal(corners.length, 26 * 16);
  assert.equal(Math.max(...index), 26 * 4 - 1);
  assert.ok(corners.every((v) => !Number.isNaN(v)));
});

test("a ray to a pixel's place finds that pixel, from any side, at any exaggeration", () => {
  let state = 12345;
  const random = () => (state = (state * 1103515245 + 12345) % 2147483648) / 2147483648;
  for (const basis of [UPRIGHT, TURNED, MIRRORED]) {
    const t = terrain(40, 30, (c, r) => 60 * Math.sin(c / 5) * Math.cos(r / 4), basis);
    for (let k = 0; k < 300; k++) {
      const [col, row] = [Math.floor(random() * 40), Math.floor(random() * 30)];
      const lift = 0.2 + 4 * random();
      const [x, z] = t.ground(col, row);
      const y = (t.heightAt(row, col) - t.min) * lift;
      // From high above nothing stands in the way.
      const from = [x + 60 * (random() - 0.5), y + 5000, z + 60 * (random() - 0.5)];
      const aim = [x - from[0], y - from[1], z - from[2]];
      const hit = pick(t, from, aim, lift);
      const onRim = col === 0 || row === 0 || col === 39 || row === 29;
      if (hit === null) assert.ok(onRim, `lost ${col} ${row}`);
      else assert.deepEqual([hit.col, hit.row], [col, row]);
    }
  }
});

test("a ray agrees with a fine march along it", () => {
  const t = terrain(32, 32, (c, r) => 40 * Math.sin(c / 3) * Math.cos(r / 4));
  const heightBelow = (x, z) => {
    const [c, r] = t.pixel(x, z);
    if (c < 0 || r < 0 || c > 31 || r > 31) return NaN;
    const [i, j] = [Math.min(Math.floor(c), 30), Math.min(Math.floor(r), 30)];
    const [u, v] = [c - i, r - j];
    const [a, b, d, e] = [[j, i], [j, i + 1], [j + 1, i], [j + 1, i + 1]].map(([rr, cc]) => t.heightAt(rr, cc) - t.min);
    return u + v <= 1 ? a + u * (b - a) + v * (d - a) : e + (1 - u) * (d - e) + (1 - v) * (b - e);
  };
  let hits = 0;
  for (let k = 0; k < 24; k++) {
    const angle = (k * Math.PI) / 12;
    const origin = [400 * Math.cos(angle), 130, 400 * Math.sin(angle)];
    const aim = [-Math.cos(angle), -0.25, -Math.sin(angle)];
    let found = null;
    let above = false;
    for (let s = 0; s < 900 && !found; s += 0.05) {
      const at = origin.map((o, i) => o + aim[i] * s);
      const below = heightBelow(at[0], at[2]);
      if (at[1] <= below) found = above ? t.pixel(at[0], at[2]) : [NaN, NaN];
      above = at[1] > below;
    }
    const hit = pick(t, origin, aim, 1);
    // A ray into a wall shows no height. Half a pixel's diagonal is what the nearest pixel may be away.
    if (found === null || Number.isNaN(found[0])) assert.equal(hit, null, `${k}`);
    else assert.ok(Math.hypot(hit.col - found[0], hit.row - found[1]) < 0.75, `${k}`);
    hits += hit !== null;
  }
  assert.ok(hits > 8);
});

test("a ray through a gap goes through", () => {
  const t = terrain(9, 9, (c, r) => (Math.abs(c - 4) < 2 && Math.abs(r - 4) < 2 ? NaN : 1));
  assert.equal(pick(t, [0, 100, 0], [0, -1, 0], 1), null);
  assert.equal(pick(t, [30, 100, 30], [0, -1, 0], 1).height, 1);
  assert.equal(pick(t, [500, 100, 0], [0, -1, 0], 1), null);
});

test("the shadow is dark under the block and gone at the square's rim", () => {
  const map = shadowMap(terrain(50, 40, () => 1));
  assert.equal(map[(SHADOW_PX / 2) * SHADOW_PX + SHADOW_PX / 2], 255);
  for (let i = 0; i < SHADOW_PX; i++) assert.equal(map[i], 0);
});
