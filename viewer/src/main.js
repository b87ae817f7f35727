// The page: payload -> terrain -> scene, controls and hooks.

import { Eye } from "./camera.js";
import { drawFlat } from "./flat.js";
import { Loop } from "./loop.js";
import { Overlay } from "./overlay.js";
import { Panel } from "./panel.js";
import { probe } from "./machine.js";
import { decodeField, parsePayload } from "./payload.js";
import { TerrainScene } from "./scene.js";
import { firstState } from "./state.js";
import { Terrain } from "./terrain.js";
import { savePicture } from "./screenshot.js";

const at = (id) => document.getElementById(id);

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

async function start() {
  const machine = probe();
  const payload = parsePayload(at("payload").textContent);
  const [heights, sigma, image] = await Promise.all([
    decodeField(payload.height.field),
    payload.layers.sigma ? decodeField(payload.layers.sigma) : null,
    machine.webgl ? picture(payload.image) : null,
  ]);
  const terrain = new Terrain(payload.grid, payload.height.metres, heights);
  const state = firstState(payload);
  const hooks = { state: () => ({ ...state.values }), heightAt: (row, col) => terrain.heightAt(row, col) };
  Object.assign(window.im2dem, hooks, { setExaggeration: (exaggeration) => state.set({ exaggeration }) });
  if (machine.webgl) return solid(payload, terrain, state, { image, sigma, software: machine.software });
  document.body.classList.add("flat");
  say("No 3D in this browser",
    "WebGL is off or missing, so the surface cannot be turned. This is its hillshade, seen from above.");
  new Panel(document, state, payload, terrain, null);
  drawFlat(at("view"), terrain, state);
}

function solid(payload, terrain, state, { image, sigma, software }) {
  const canvas = at("view");
  const darkness = matchMedia("(prefers-color-scheme: dark)");
  const scene = new TerrainScene(canvas, terrain, { image, sigma, software, dark: darkness.matches });
  const panel = new Panel(document, state, payload, terrain, scene.sigmaRange);
  const eye = new Eye(scene, canvas, () => loop.ask(true));
  const overlay = new Overlay(document, terrain, payload, eye, sigma);
  const loop = new Loop(() => eye.controls.update(), (light) => {
    eye.fitPlanes();
    scene.draw(light);
    overlay.follow();
  }, software);
  const resize = () => {
    scene.resize(canvas.clientWidth, canvas.clientHeight, Math.min(devicePixelRatio || 1, software ? 1 : 2));
    loop.ask();
  };
  state.listen((values) => {
    scene.apply(values);
    loop.ask(true);
  });
  darkness.addEventListener("change", () => {
    scene.setDark(darkness.matches);
    loop.ask();
  });
  new ResizeObserver(resize).observe(canvas);
  resize();
  eye.frame();
  pointer(canvas, overlay, state);
  keys(canvas, eye, overlay, state, panel);
  buttons(eye, scene, payload);
  Object.assign(window.im2dem, {
    meshBounds: () => scene.meshBounds(), project: (row, col) => eye.project(row, col), resting: () => loop.resting,
  });
  return new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
}

function pointer(canvas, overlay, state) {
  let down = null;
  const read = (event) => overlay.read(event.clientX, event.clientY, state.get("exaggeration"));
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerType === "mouse" && !event.buttons) read(event);
  });
  canvas.addEventListener("pointerdown", (event) => { down = [event.clientX, event.clientY]; });
  canvas.addEventListener("pointerup", (event) => {
    if (down && Math.hypot(event.clientX - down[0], event.clientY - down[1]) < 6) read(event);
  });
  canvas.addEventListener("pointerleave", () => at("readout").classList.add("empty"));
}

function keys(canvas, eye, overlay, state, panel) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || at("help").open) return;
    if (event.target.matches("input[type=number], input[type=range], input[type=radio]") &&
      /^(Arrow|[-+0-9=.])/.test(event.key)) return;
    const layer = panel.layerNames[Number(event.key) - 1];
    if (layer) state.set({ layer });
    else if (event.key === "?") at("help").showModal();
    else if (event.key === "p" || event.key === "P") at("shoot").click();
    else if (event.key === "f" || event.key === "F") at("full").click();
    else if (event.key === "h" || event.key === "H") {
      const box = canvas.getBoundingClientRect();
      overlay.read(box.left + box.width / 2, box.top + box.height / 2, state.get("exaggeration"));
    } else if (!eye.key(event)) return;
    event.preventDefault();
  });
}

function buttons(eye, scene, payload) {
  at("reset").addEventListener("click", () => eye.frame());
  at("above").addEventListener("click", () => eye.frame(0, 0));
  at("north").addEventListener("click", () => eye.faceNorth());
  at("shoot").addEventListener("click", () => {
    scene.draw();
    savePicture(at("view"), payload);
  });
  at("full").hidden = !document.fullscreenEnabled;
  at("full").addEventListener("click", () => {
    if (document.fullscreenElement) document.exitFullscreen();
    else document.documentElement.requestFullscreen();
  });
}

at("ask").addEventListener("click", () => at("help").showModal());
if (innerWidth < 640) at("panel").removeAttribute("open");
window.im2dem = {};
window.im2dem.ready = start().then(
  () => { document.body.classList.remove("loading"); },
  (error) => {
    document.body.classList.remove("loading");
    say("This page cannot be shown", error.message);
    console.error(error);
  },
);
