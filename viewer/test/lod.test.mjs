import assert from "node:assert/strict";
import test from "node:test";

import { nodeGrid } from "../src/chunks.js";
import { Detail } from "../src/detail.js";
import { NODE, Quadtree } from "../src/lod.js";
import { Terrain } from "../src/terrain.js";

function rough(width, height, heightOf) {
  const filled = new Float32Array(width * height);
  for (let i = 0; i < filled.length; i++) filled[i] = heightOf(i % width, Math.floor(i / width));
  return { width, height, filled };
}
const every = { seen: () => true, ready: () => true, tolerance: 1, most: 1e6 };

/** How often each cell of the mesh is covered by the chosen nodes. */
function cover(nodes, width, height) {
  const times = new Uint8Array((width - 1) * (height - 1));
  for (const { i, j, stride } of nodes) {
    const span = NODE * stride;
    for (let r = j * span; r < Math.min((j + 1) * span, height - 1); r++) {
      for (let c = i * span; c < Math.min((i + 1) * span, width - 1); c++) times[r * (width - 1) + c]++;
    }
  }
  return times;
}

test("whatever is chosen covers every cell once", () => {
  for (const [width, height] of [[2, 2], [33, 33], [100, 70], [257, 130], [300, 3]]) {
    const terrain = rough(width, height, (c, r) => 30 * Math.sin(c / 9) * Math.cos(r / 5));
    const tree = new Quadtree(terrain);
    for (const focus of [0, 0.2, 1, 5, 1e9]) {
      const nodes = tree.select({ ...every, pixels: (n) => ({ error: n.error * focus * (n.i % 2 ? 0.3 : 1), cell: 0 }) });
      assert.ok(cover(nodes, width, height).every((t) => t === 1), `${width} x ${height}, ${focus}: ${nodes.length} nodes`);
    }
  }
});

test("a node's error bounds what leaving out its vertices changes", () => {
  const [width, height] = [129, 129];
  const terrain = rough(width, height, (c, r) => 20 * Math.sin(c / 6) * Math.cos(r / 7) + ((c * 7 + r * 13) % 5));
  const tree = new Quadtree(terrain);
  const root = tree.root;
  assert.equal(root.stride, 4);
  let worst = 0;
  for (let r = 0; r < height; r += 4) for (let c = 0; c + 4 < width; c += 4) {
    const line = (terrain.filled[r * width + c] + terrain.filled[r * width + c + 4]) / 2;
    worst = Math.max(worst, Math.abs(terrain.filled[r * width + c + 2] - line));
  }
  assert.ok(worst > 1 && root.error >= worst - 1e-4, `${root.error} ${worst}`);
  const high = Math.max(...terrain.filled), low = Math.min(...terrain.filled);
  assert.deepEqual([root.low, root.high], [low, high]);
});

test("a plane is drawn with one node, and far less than all is drawn of what is far away", () => {
  const plane = new Quadtree(rough(257, 257, (c, r) => 3 * c - r));
  assert.equal(plane.select({ ...every, pixels: (n) => ({ error: n.error * 1e4, cell: 0 }) }).length, 1);
  const hills = new Quadtree(rough(513, 513, (c, r) => 30 * Math.sin(c / 7) * Math.cos(r / 8)));
  const near = hills.select({ ...every, pixels: (n) => ({ error: n.error * 100, cell: 0 }) });
  const far = hills.select({ ...every, pixels: (n) => ({ error: n.error * 0.05, cell: 0 }) });
  assert.equal(near.length, 256);
  assert.ok(far.length < 20, `${far.length}`);
});

test("finer nodes are chosen only where their tiles are at hand, and the number is bounded", () => {
  const tree = new Quadtree(rough(65, 65, (c, r) => c + r * ((c + r) % 2)), 2);
  const close = { ...every, pixels: () => ({ error: 1e9, cell: 1e9 }) };
  assert.equal(tree.select({ ...close, ready: () => false }).length, 4);
  const one = tree.select({ ...close, ready: (n) => n.i >> -n.k === 0 && n.j >> -n.k === 0 });
  assert.equal(one.length, 3 + 16);
  assert.equal(Math.min(...one.map((n) => n.stride)), 0.25);
  assert.ok(tree.select({ ...close, most: 10 }).length <= 10);
});

test("level ground is drawn finely as well where its pixels look large and finer tiles are at hand", () => {
  const level = rough(129, 129, () => 7);
  const pixels = ({ stride }) => ({ error: 0, cell: 3 * stride });
  const finest = (finer, scale) => Math.min(...new Quadtree(level, finer)
    .select({ ...every, pixels: (n) => ({ ...pixels(n), cell: scale * pixels(n).cell }), ready: () => true }).map((n) => n.stride));
  // A pixel of the mesh is 3 on the screen, of the first finer level 1.5; the limit is 2.
  assert.equal(finest(2, 1), 0.5);
  assert.equal(finest(2, 2), 0.25);
  assert.equal(finest(2, 0.5), 4);
  assert.equal(finest(0, 2), 4);
});

test("where there are too many nodes, what is near is fine", () => {
  const tree = new Quadtree(rough(257, 257, (c, r) => 10 * ((c + r) % 2)), 2);
  const away = ({ i, stride }) => 1 + Math.max(0, 224 - 32 * (i + 1) * stride);
  const nodes = tree.select({ ...every, pixels: (n) => ({ error: 9, cell: (50 * n.stride) / away(n) }), ready: () => true, most: 60 });
  assert.ok(nodes.length <= 60 && nodes.length > 50, `${nodes.length}`);
  const finest = nodes.filter((n) => n.k === Math.min(...nodes.map((m) => m.k)));
  const others = nodes.filter((n) => !finest.includes(n));
  assert.ok(Math.max(...finest.map(away)) <= Math.min(...others.filter((n) => n.k === finest[0].k + 1).map(away)) + 32);
  assert.ok(cover(nodes.filter((n) => n.k >= 0), 257, 257).every((t) => t <= 1));
});

test("a node's grid has all its cells, skirts, and looks up", () => {
  for (const det of [1, -1]) {
    const { corners, index } = nodeGrid(det);
    assert.equal(index.length, 3 * (2 * NODE * NODE + 8 * NODE));
    const skirts = Array.from(corners).filter((_, k) => k % 3 === 2).reduce((a, b) => a + b, 0);
    assert.equal(skirts, 4 * NODE);
    const [a, b, c] = [0, 1, 2].map((k) => [corners[3 * index[k]], corners[3 * index[k] + 1]]);
    const turn = (b[1] - a[1]) * (c[0] - a[0]) - (b[0] - a[0]) * (c[1] - a[1]);
    assert.ok(turn * det > 0);
  }
});

/** A field as the writer of docs/page-payload.md makes it, without prediction errors: all heights are `value`. */
async function flatField(side, value) {
  const bytes = new Uint8Array(2 * side * side);
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  const data = Buffer.from(await new Response(stream).arrayBuffer()).toString("base64");
  return JSON.stringify({ width: side, height: side, bits: 16, scale: 1, offset: value, predictor: "left", data, mask: null });
}

test("tiles are read once, kept up to a number, and give finer heights", async () => {
  const grid = { width: 64, height: 64, basis: [[40, 0], [0, -40]], transform: [40, 0, 0, 0, -40, 0], factor: 4, source: [256, 256] };
  const payload = { grid, height: { metres: 1 }, detail: { tile: 32, border: 1, levels: [{}, {}] } };
  const asked = [];
  const text = await flatField(34, 7);
  let arrived = 0;
  const detail = new Detail(payload, (id) => (asked.push(id), id === "tile-0-3-3" ? undefined : text), () => arrived++, 3);
  const wish = (k, i, j) => detail.get(detail.over({ k, i, j }, 16));
  assert.equal(wish(-1, 0, 0), null);
  assert.equal(wish(-1, 1, 1), null);
  while (detail.busy) await new Promise((resolve) => setTimeout(resolve, 1));
  // Nodes of 16 cells: two by two of them lie in one tile of 32.
  assert.deepEqual(asked, ["tile-0-0-0"]);
  assert.equal(wish(-1, 1, 1).terrain.heightAt(5, 5), 7);
  assert.deepEqual(wish(-1, 0, 0).shift, [1.5, 1.5]);
  assert.equal(detail.heightAt(3.2, 4.9), 7);
  assert.ok(Number.isNaN(detail.heightAt(60, 60)));
  for (const i of [2, 4, 6]) wish(-1, i, 0);
  wish(-1, 6, 6);
  while (detail.busy) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.equal(detail.held.size, 3);
  assert.equal(arrived, 4);
});

test("a tile's texels lie where the mesh's pixels do", () => {
  // Two texels to a pixel: the mesh's pixel 0 lies between the texels 0 and 1 of the tile, after a border of 1.
  const detail = new Detail({ detail: { tile: 8, border: 1, levels: [{}] }, grid: {} }, () => null, () => {}, 1);
  assert.equal(detail.over({ k: -1, i: 3, j: 1 }, 4).key, "0-0-1");
  const shift = 0.5 * 2 - 0.5 - 1 * 8 + 1;
  // Mesh pixel 4 covers the source columns 8 and 9, the first two of the second tile: texels 1 and 2.
  assert.equal(4 * 2 + shift, 1.5);
});

test("a terrain of a tile is as steep as the mesh", () => {
  const grid = { width: 4, height: 4, basis: [[10, 0], [0, -10]], transform: [1, 0, 0, 0, -1, 0], factor: 1, source: [4, 4] };
  const coarse = new Terrain(grid, 1, Float32Array.from({ length: 16 }, (_, i) => 10 * (i % 4)));
  assert.ok(Math.abs(coarse.slopeDeg(1, 1) - 45) < 1e-4);
});
