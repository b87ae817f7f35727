// The page: payload -> terrain -> scene, controls and hooks.

import { Address } from "./address.js";
import { Eye } from "./camera.js";
import { COMPARE } from "./compare.js";
import { Detail } from "./detail.js";
import { drawFlat } from "./flat.js";
import { Film } from "./film.js";
import { fillHelp, listenKeys } from "./keys.js";
import { LAYERS, layerRanges, legendOf } from "./layers.js";
import { Light } from "./light.js";
import { Loop } from "./loop.js";
import { Measuring } from "./measuring.js";
import { Overlay } from "./overlay.js";
import { Panel } from "./panel.js";
import { probe } from "./machine.js";
import { decodeField, parsePayload } from "./payload.js";
import { watchRoom } from "./room.js";
import { TerrainScene } from "./scene.js";
import { State, firstState } from "./state.js";
import { swipe } from "./divider.js";
import { Terrain, union } from "./terrain.js";
import { THEMES, followTheme, otherTheme } from "./theme.js";
import { savePicture } from "./screenshot.js";

const at = (id) => document.getElementById(id);
const ASIDE = 1.7;
const TILES = { card: 48, software: 20 };

function say(title, text) {
  at("message-title").textContent = title;
  at("message-text").textContent = text;
  at("message").hidden = false;
}

async function picture(image) {
  if (!image) return null;
  const element = new Image();
  element.src = `data:${image.mime};base64,${image.data}`;
  await element.decode();
  return element;
}

/** Everything the payload holds, unpacked: {payload, terrain, truth, sigma, error, image}. */
async function unpack(payload, webgl) {
  const field = (one) => (one ? decodeField(one) : null);
  const [heights, sigma, truth, image] = await Promise.all([
    field(payload.height.field), field(payload.layers.sigma), field(payload.truth?.field), webgl ? picture(payload.image) : null,
  ]);
  const surface = (one) => one && new Terrain(payload.grid, payload.height.metres, one.values, one.filled);
  const terrain = surface(heights);
  const other = surface(truth);
  if (other) {
    terrain.low = other.low = Math.min(terrain.min, other.min);
    terrain.high = other.high = Math.max(terrain.max, other.max);
    terrain.shown = union(terrain.shown, other.shown);
  }
  const error = other && terrain.heights.map((h, i) => h - other.heights[i]);
  return { payload, terrain, truth: other, sigma: sigma?.values ?? null, error, image };
}

async function start() {
  const machine = probe();
  const payload = parsePayload(at("payload").textContent);
  const data = await unpack(payload, machine.webgl);
  performance.mark("im2dem-unpacked");
  const { terrain } = data;
  const has = { image: payload.image, sigma: data.sigma, error: data.error };
  data.names = Object.keys(LAYERS).filter((name) => !(name in has) || has[name]);
  data.ranges = layerRanges(terrain, data.sigma, data.error);
  const state = new State(firstState(payload, terrain.low, terrain.high));
  Object.assign(window.im2dem, {
    state: () => ({ ...state.values }), heightAt: (row, col) => terrain.heightAt(row, col),
    setExaggeration: (exaggeration) => state.set({ exaggeration }), set: (patch) => state.set(patch),
  });
  const panel = new Panel(document, state, payload, terrain, data.names, data.ranges);
  new Light(document, state);
  if (machine.webgl) return solid(data, state, panel, machine.software);
  document.body.classList.add("flat");
  followTheme(state, () => {});
  say("No 3D in this browser",
    "WebGL is off or missing, so the surface cannot be turned. This is its hillshade, seen from above.");
  drawFlat(at("view"), terrain, state);
}

function solid(data, state, panel, software) {
  const canvas = at("view");
  const { payload, terrain, truth } = data;
  const first = { ...state.values };
  fillHelp(at("keys"), data.names.length);
  const told = Address.read({ layer: data.names, other: panel.others, compare: COMPARE, theme: THEMES });
  const source = (id) => at(id)?.textContent;
  const detail = new Detail(payload, source, () => loop.ask(), software ? TILES.software : TILES.card);
  const scene = new TerrainScene(canvas, { dem: terrain, truth },
    { ...data, detail, north: payload.place?.north_deg ?? 0 }, { software, dark: false });
  scene.apply(state.values);
  const eye = new Eye(scene, canvas, () => loop.ask(true));
  const overlay = new Overlay(document, { ...data, detail }, eye);
  const loop = new Loop(() => film.step() | eye.controls.update(), (light) => {
    eye.fitPlanes();
    scene.draw(light);
    overlay.follow();
    measuring.follow();
    film.follow();
  }, software);
  const address = new Address(first, () => ({ ...eye.pose, frames: film.frames, drawn: measuring.drawn }));
  const measuring = new Measuring(document, data, eye, state, () => {
    loop.ask();
    address.later(state);
  });
  const film = new Film(document, { eye, scene, payload, canvas }, (moving) => loop.ask(moving),
    () => address.later(state, true), told.frames);
  const divide = swipe(at("divider"), canvas, state, () => scene.room);
  const resize = (room) => {
    scene.resize(canvas.clientWidth, canvas.clientHeight, Math.min(devicePixelRatio || 1, software ? 1 : 2));
    if (!film.keeps(room)) eye.across(() => scene.setRoom(room));
    divide();
    loop.ask();
  };
  state.listen((values, changed) => {
    scene.apply(values);
    const beside = values.compare === "side";
    // Half as wide a picture shows the same from further away.
    if (changed.includes("compare") && beside === eye.controls.zoomToCursor && !eye.refit()) eye.turn(0, 0, beside ? ASIDE : 1 / ASIDE);
    eye.controls.zoomToCursor = !beside;
    loop.ask(!changed.includes("compare"));
    address.later(state);
  });
  followTheme(state, (dark) => {
    scene.setDark(dark);
    loop.ask();
  });
  const below = () => [at("profile"), at("caution"), at("bar")].find((words) => !words.hidden);
  watchRoom(canvas, [at("panel"), at("profile")], { above: document.querySelector("h1"), below }, resize);
  state.set(told.values);
  eye.frame();
  if (told.eye) eye.pose = told;
  if (told.drawn) measuring.draw(told.drawn);
  for (const name of ["pointerup", "wheel", "keyup"]) canvas.addEventListener(name, () => address.later(state, true));
  pointer(canvas, overlay, state, measuring);
  buttons(eye, scene, data, state, { overlay, measuring }, () => loop.ask(), () => address.later(state, true));
  keys(canvas, { eye, overlay, state, measuring, film, names: data.names });
  Object.assign(window.im2dem, {
    meshBounds: () => scene.meshBounds(), project: (row, col, pane) => eye.project(row, col, undefined, pane),
    resting: () => loop.resting && !detail.busy, nodes: () => scene.drawn.map(({ k, i, j }) => [k, i, j]), pose: () => eye.pose,
    // Milliseconds that one drawing takes; reading a pixel waits until it is done. For benchmarks/page.py.
    drawMs: (light) => {
      const begin = performance.now();
      scene.draw(light);
      scene.renderer.getContext().readPixels(0, 0, 1, 1, 6408, 5121, new Uint8Array(4));
      return performance.now() - begin;
    },
    tiles: () => [...detail.held.keys()], table: () => measuring.table, hash: () => address.text(state),
    measure: (points, mode = "line") => {
      Object.assign(measuring, { points, mode, kind: mode });
      measuring.update();
    },
  });
  performance.mark("im2dem-built");
  return new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
}

function pointer(canvas, overlay, state, measuring) {
  let down = null;
  const read = (event) => overlay.read(event.clientX, event.clientY, state.get("exaggeration"));
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerType === "mouse" && !event.buttons) read(event);
  });
  canvas.addEventListener("pointerdown", (event) => { down = [event.clientX, event.clientY]; });
  canvas.addEventListener("pointerup", (event) => {
    if (!down || Math.hypot(event.clientX - down[0], event.clientY - down[1]) >= 6) return;
    read(event);
    if (measuring.active && event.button === 0) measuring.add(event.clientX, event.clientY);
  });
  // A finger leaves when it is lifted: what it asked for stays.
  canvas.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && at("readout").classList.add("empty"));
}

function keys(canvas, { eye, overlay, state, measuring, film, names }) {
  const flip = (name) => () => state.set({ [name]: !state.get(name) });
  const press = (id) => () => at(id).click();
  const middle = () => {
    const box = eye.pane(canvas.getBoundingClientRect().left);
    return [box.left + box.width / 2, box.top + box.height / 2];
  };
  const actions = {
    "?": press("ask"), p: press("shoot"), f: press("full"), d: press("theme"), c: flip("contours"), w: flip("water"),
    s: flip("shadows"), m: () => measuring.start("line"), a: () => measuring.start("area"),
    k: () => film.addFrame(), l: () => film.toggle("fly"), o: () => film.toggle("turn"),
    v: () => state.set({ compare: COMPARE[(COMPARE.indexOf(state.get("compare")) + 1) % COMPARE.length] }),
    h: () => void overlay.read(...middle(), state.get("exaggeration")),
    Enter: () => measuring.active && measuring.add(...middle()),
    Backspace: () => measuring.active && measuring.undo(),
    Escape: () => (measuring.active || measuring.points.length > 0) && measuring.clear(),
  };
  names.forEach((layer, k) => { actions[k + 1] = () => state.set({ layer }); });
  listenKeys(actions, (event) => eye.key(event));
}

function buttons(eye, scene, { payload, ranges }, state, { overlay, measuring }, ask, moved) {
  const on = (id, action) => at(id).addEventListener("click", action);
  const go = (action) => () => {
    action();
    moved();
  };
  on("reset", go(() => eye.frame()));
  on("above", go(() => eye.frame(0, 0)));
  on("north", go(() => eye.faceNorth()));
  on("shoot", () => {
    const layers = [...new Set(scene.panes.map((pane) => pane.layer))];
    eye.wholly(() => {
      measuring.follow();
      const { px, text } = overlay.scaleBar;
      const legends = layers.map((layer) => legendOf(layer, ranges[layer], payload)).filter(Boolean);
      const marks = { bar: { px: px * scene.ratio, text }, legends };
      savePicture(at("view"), payload, at("ink"), at("dressed").checked ? marks : null);
    }, true);
    ask();
  });
  on("theme", () => state.set({ theme: otherTheme() }));
  at("full").hidden = !document.fullscreenEnabled;
  on("full", () => {
    if (document.fullscreenElement) document.exitFullscreen();
    else document.documentElement.requestFullscreen();
  });
}

at("ask").addEventListener("click", () => at("help").showModal());
if (innerWidth < 640) {
  at("light").open = false;
  // An upright screen has room for both: the terrain above, the controls below.
  at("panel").open = innerHeight > 1.5 * innerWidth;
}
window.im2dem = {};
window.im2dem.ready = start().then(
  () => { document.body.classList.remove("loading"); },
  (error) => {
    document.body.classList.remove("loading");
    say("This page cannot be shown", error.message);
    console.error(error);
  },
);
