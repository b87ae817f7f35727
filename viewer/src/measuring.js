// The tool that measures: points set on the surface, the line through them, its profile, area and table.

import { download } from "./download.js";
import { CHART, drawChart } from "./chart.js";
import { area, csv, heightBetween, samples, summary } from "./measure.js";
import { lonLat } from "./place.js";
import { pick } from "./pick.js";
import { ground, plain, squared, unitName } from "./words.js";

const NS = "http://www.w3.org/2000/svg";

export class Measuring {
  /** `mode` is the tool in hand, or null; `kind` is what the points make. @param data {terrain, payload, sigma, truth}; @param eye; @param state; @param changed asks for a drawing */
  constructor(root, data, eye, state, changed) {
    Object.assign(this, data, { eye, state, changed, points: [], mode: null, kind: "line", profile: [] });
    this.at = (id) => root.querySelector(`#${id}`);
    this.ink = this.at("ink");
    this.at("line").addEventListener("click", () => this.start("line"));
    this.at("area").addEventListener("click", () => this.start("area"));
    this.at("undo").addEventListener("click", () => this.undo());
    this.at("clear").addEventListener("click", () => this.clear());
    this.at("profile-close").addEventListener("click", () => this.clear());
    this.at("csv").addEventListener("click", () => this.save());
    const svg = this.at("chart");
    svg.addEventListener("pointermove", (event) => this.hover(event));
    svg.addEventListener("pointerleave", () => { this.spot = null; this.follow(); });
    this.say();
  }

  start(mode) {
    this.mode = this.mode === mode ? null : mode;
    if (this.mode) {
      this.kind = this.mode;
      this.update();
    }
    this.say();
  }

  /** What is drawn, for the address: {kind, places in parts of the raster}. */
  get drawn() {
    const { width, height } = this.terrain;
    return { kind: this.kind, places: this.points.map(([col, row]) => [(col + 0.5) / width, (row + 0.5) / height]) };
  }

  /** Draw what an address told, with no tool in hand. */
  draw({ kind, places }) {
    const { width, height } = this.terrain;
    const inside = (part, size) => Math.min(Math.max(part * size - 0.5, 0), size - 1);
    this.kind = kind;
    this.points = places.map(([x, y]) => [inside(x, width), inside(y, height)]);
    this.update();
  }

  get active() {
    return this.mode !== null;
  }

  /** Set a point where the ray through a client position meets the surface. */
  add(x, y) {
    const { origin, direction } = this.eye.ray(x, y);
    const hit = pick(this.terrain, origin, direction, this.state.get("exaggeration"));
    if (!hit) return false;
    const { width, height } = this.terrain;
    this.points.push([Math.min(Math.max(hit.place[0], 0), width - 1), Math.min(Math.max(hit.place[1], 0), height - 1)]);
    this.update();
    return true;
  }

  undo() {
    this.points.pop();
    this.update();
  }

  clear() {
    this.points = [];
    this.mode = null;
    this.update();
  }

  update() {
    const { terrain, payload, truth, sigma } = this;
    const { grid } = payload;
    const lift = payload.truth?.shift ?? 0;
    this.profile = samples(terrain, this.points, this.kind === "area").map((p) => {
      const [x, y] = terrain.coordinates(p.col, p.row);
      const place = lonLat(payload.place, grid, p.col, p.row);
      return {
        ...p, ...(grid.crs ? { x, y } : {}), ...(place ? { lon: place[0], lat: place[1] } : {}),
        height: heightBetween(terrain, terrain.heights, p.col, p.row),
        ...(sigma ? { sigma: heightBetween(terrain, sigma, p.col, p.row) } : {}),
        ...(truth ? { truth: heightBetween(terrain, truth.heights, p.col, p.row), offset: lift } : {}),
      };
    });
    this.spot = null;
    const some = this.profile.length > 1;
    this.at("profile").hidden = !some;
    document.body.classList.toggle("has-profile", some);
    if (some) this.plan = drawChart(this.at("chart"), this.profile, grid.unit);
    this.say();
    this.changed();
  }

  say() {
    const { terrain, payload, mode, kind } = this;
    const unit = payload.grid.unit;
    this.at("line").setAttribute("aria-pressed", mode === "line");
    this.at("area").setAttribute("aria-pressed", mode === "area");
    document.body.classList.toggle("measuring", mode !== null);
    this.at("undo").disabled = this.at("clear").disabled = !this.points.length;
    const parts = [];
    if (this.profile.length > 1) {
      const s = summary(terrain, this.profile);
      const h = unitName(payload.height.unit);
      parts.push(`${ground(s.length, unit)}${kind === "area" ? " around" : ""}`);
      if (kind === "area" && this.points.length > 2) parts.push(squared(area(terrain, this.points), unit));
      if (s.low <= s.high) parts.push(`${plain(s.low)} to ${plain(s.high)} ${h}`, `↑\u00a0${plain(s.up)} ↓\u00a0${plain(s.down)}\u00a0${h}`);
      this.at("profile-title").textContent = parts.join(" · ");
    }
    this.at("measure-says").textContent = parts.length ? parts.slice(0, 2).join(" · ")
      : mode ? "Click on the surface to set points; Enter sets one in the middle." : "";
    if (parts.length) return;
    this.at("profile-title").textContent = "";
  }

  hover(event) {
    const box = this.at("chart").getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * CHART.width;
    const part = (x - CHART.left) / (CHART.width - CHART.left - CHART.right);
    const p = this.profile[Math.round(Math.min(Math.max(part, 0), 1) * (this.profile.length - 1))];
    this.spot = p;
    const cursor = this.at("chart").querySelector(".cursor");
    for (const end of ["x1", "x2"]) cursor?.setAttribute(end, this.plan.x(p.distance));
    const h = unitName(this.payload.height.unit);
    this.at("profile-title").textContent = `${ground(p.distance, this.payload.grid.unit)}: ${Number.isFinite(p.height) ? plain(p.height, 1) : "no"} ${h}` +
      (Number.isFinite(p.truth) ? ` · truth ${plain(p.truth + p.offset, 1)} ${h}` : "");
    this.follow();
  }

  /** Redraw the line over the picture, from where the eye is now. */
  follow() {
    const shapes = [];
    const put = (tag, attributes) => {
      const element = document.createElementNS(NS, tag);
      for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
      shapes.push(element);
    };
    const spot = (col, row) => {
      const h = heightBetween(this.terrain, this.terrain.filled, col, row);
      return this.eye.project(row, col, h);
    };
    if (this.profile.length > 1) {
      const step = Math.max(1, Math.floor(this.profile.length / 160));
      const path = this.profile.filter((_, k) => k % step === 0 || k === this.profile.length - 1)
        .map((p) => spot(p.col, p.row)).filter(({ y }) => Number.isFinite(y)).map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
      const shape = this.kind === "area" && this.points.length > 2 ? "polygon" : "polyline";
      put(shape, { points: path, class: "halo" });
      put(shape, { points: path, class: "ink" });
    }
    for (const [col, row] of this.points) {
      const { x, y } = spot(col, row);
      if (Number.isFinite(y)) put("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: 4.5, class: "knot" });
    }
    if (this.spot) {
      const { x, y } = spot(this.spot.col, this.spot.row);
      put("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: 6, class: "spot" });
    }
    this.ink.replaceChildren(...shapes);
  }

  get table() {
    const rows = this.profile.map((p) => ({ ...p, ...(p.truth === undefined ? {} : { truth: p.truth + p.offset }) }));
    return csv(rows, { ground: this.payload.grid.unit, height: unitName(this.payload.height.unit) });
  }

  save() {
    download(new Blob([this.table], { type: "text/csv" }), this.payload.title, "-profile.csv");
  }
}
