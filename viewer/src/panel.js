// The controls of the surface: layers, exaggeration, contours, water, comparison, facts. They write to the state and
// show the state; they know nothing of the drawing.

import { facing } from "./compare.js";
import { choice, number, toggle } from "./controls.js";
import { LAYERS, legendOf } from "./layers.js";
import { cssGradient } from "./ramps.js";
import { caution, ground, plain, squared, unitName } from "./words.js";
import { floodCurve } from "./water.js";

/** Layer buttons in one row. */
const MOST_BESIDE = 4;

export class Panel {
  /** @param names layers that this page has; @param ranges of the layers */
  constructor(root, state, payload, terrain, names, ranges) {
    Object.assign(this, { root, state, payload, terrain, names, ranges });
    const at = (id) => root.querySelector(`#${id}`);
    this.layers(at("layers"));
    const { exaggeration, automatic } = payload.view;
    const most = Math.max(5, Math.ceil(exaggeration * 3));
    const least = exaggeration < 0.5 ? exaggeration / 10 : 0.1;
    Object.assign(at("exaggeration"), { max: most, min: least, step: Math.min(0.1, least) });
    at("exaggeration-number").min = least;
    number(state, "exaggeration", at("exaggeration"), at("exaggeration-number"), [1e-6, 1000]);
    at("automatic").hidden = !automatic;
    at("automatic").addEventListener("click", () => state.set({ exaggeration }));
    state.listen((values) => { at("automatic").disabled = values.exaggeration === exaggeration; });
    this.contours(at);
    this.water(at);
    this.compare(at);
    this.facts(at("facts"));
    const words = caution(payload);
    at("caution").textContent = words;
    at("caution").hidden = !words;
    state.listen((values) => this.legend(at("legend"), values.layer));
  }

  layers(box) {
    const rows = Math.ceil(this.names.length / MOST_BESIDE);
    box.style.setProperty("--columns", Math.ceil(this.names.length / rows));
    for (const name of this.names) {
      const label = document.createElement("label");
      const input = Object.assign(document.createElement("input"), { type: "radio", name: "layer", value: name });
      const text = Object.assign(document.createElement("span"), { textContent: LAYERS[name].label });
      label.append(input, text);
      box.append(label);
    }
    choice(this.state, "layer", box);
  }

  contours(at) {
    toggle(this.state, "contours", at("contours"));
    number(this.state, "contourInterval", null, at("contour-number"), [1e-6, 1e6]);
    at("contour-unit").textContent = unitName(this.payload.height.unit);
  }

  water(at) {
    const { state, terrain, payload } = this;
    const span = terrain.high - terrain.low || 1;
    toggle(state, "water", at("water"));
    Object.assign(at("water-level"), { min: terrain.low, max: terrain.high, step: span / 500 });
    number(state, "waterLevel", at("water-level"), at("water-number"), [-1e7, 1e7]);
    at("water-unit").textContent = unitName(payload.height.unit);
    const flooded = floodCurve(terrain);
    const pixel = Math.abs(terrain.det);
    state.listen((values) => {
      at("water-row").hidden = !values.water;
      const part = flooded(values.waterLevel);
      at("water-says").textContent = `${plain(100 * part, 1)} % lies below: ` +
        squared(part * terrain.valid * pixel, payload.grid.unit);
    });
  }

  compare(at) {
    const { state, payload } = this;
    choice(state, "compare", at("compare"));
    const kinds = payload.truth ? ["dem", "truth"] : ["dem"];
    for (const kind of kinds) {
      const group = document.createElement("optgroup");
      group.label = kind === "truth" ? "Truth" : payload.truth ? "Predicted" : "This surface";
      for (const name of this.names) {
        group.append(new Option((kind === "truth" ? "Truth · " : "") + LAYERS[name].label, `${kind}:${name}`));
      }
      at("other").append(group);
    }
    at("other").addEventListener("change", () => state.set({ other: at("other").value }));
    state.listen((values) => {
      at("other").value = values.other;
      at("other-row").hidden = values.compare === "off";
      this.legend(at("legend-other"), values.compare === "off" ? "hillshade" : facing(values.other).layer);
    });
  }

  /** Words that `other` of the state may be. */
  get others() {
    return [...this.root.querySelectorAll("#other option")].map((option) => option.value);
  }

  legend(box, layer) {
    const legend = legendOf(layer, this.ranges[layer], this.payload);
    box.hidden = !legend;
    if (!legend) return;
    box.querySelector(".ramp").style.background = cssGradient(legend.ramp);
    box.querySelector(".marks").replaceChildren(
      ...legend.marks.map((text) => Object.assign(document.createElement("span"), { textContent: text })));
    box.querySelector(".what").textContent = legend.title;
  }

  facts(list) {
    const { payload: { grid, height, truth, detail }, terrain } = this;
    const [width, depth] = [grid.basis[0], grid.basis[1]].map((v, i) => Math.hypot(...v) * (i ? grid.height : grid.width));
    const digits = terrain.max - terrain.min < 20 ? 1 : 0;
    const unit = unitName(height.unit);
    const shown = detail ? `, overview ${grid.width} × ${grid.height}` : grid.factor > 1 ? `, shown as ${grid.width} × ${grid.height}` : "";
    const rows = [
      ["Heights", `${plain(terrain.min, digits)} to ${plain(terrain.max, digits)} ${unit}`],
      ["Datum", height.datum],
      ["Truth", truth?.shift ? `lowered by ${plain(truth.shift, 1)} ${unit} to the prediction's zero` : truth ? "as given" : null],
      ["Area", grid.unit === "m" ? `${ground(width, "m")} × ${ground(depth, "m")}` : null],
      ["Pixels", `${plain(grid.source[0])} × ${plain(grid.source[1])}${shown}`],
      ["System", grid.crs || "none"],
    ];
    for (const [name, value] of rows.filter(([, v]) => v)) {
      const term = document.createElement("dt");
      const text = document.createElement("dd");
      term.textContent = name;
      text.textContent = value;
      list.append(term, text);
    }
  }
}
