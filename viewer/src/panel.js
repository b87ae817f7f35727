// The controls. They write to the state and show the state; they know nothing of the drawing.

import { HEIGHT_RAMP, SIGMA_RAMP, cssGradient } from "./ramps.js";
import { caution, digitsFor, ground, plain, unitName } from "./words.js";

export class Panel {
  constructor(root, state, payload, terrain, sigmaRange) {
    this.root = root;
    const at = (id) => root.querySelector(`#${id}`);
    this.layers(at("layers"), state, { image: payload.image, sigma: sigmaRange });
    const most = Math.max(5, Math.ceil(payload.view.exaggeration * 3));
    const least = payload.view.exaggeration < 0.5 ? payload.view.exaggeration / 10 : 0.1;
    at("exaggeration").max = most;
    at("exaggeration").min = least;
    at("exaggeration").step = Math.min(0.1, least);
    at("exaggeration-number").min = least;
    number(state, "exaggeration", at("exaggeration"), at("exaggeration-number"), [1e-6, 1000], (v) => v);
    number(state, "sunAzimuth", at("azimuth"), at("azimuth-number"), [0, 360], (v) => ((v % 360) + 360) % 360);
    number(state, "sunElevation", at("elevation"), at("elevation-number"), [0, 90], (v) => v);
    at("automatic").hidden = !payload.view.automatic;
    at("automatic").addEventListener("click", () => state.set({ exaggeration: payload.view.exaggeration }));
    state.listen(({ exaggeration }) => { at("automatic").disabled = exaggeration === payload.view.exaggeration; });
    this.facts(at("facts"), payload, terrain);
    const words = caution(payload);
    at("caution").textContent = words;
    at("caution").hidden = !words;
    state.listen(({ layer }) => this.legend(at("legend"), layer, payload, terrain, sigmaRange));
  }

  layers(box, state, has) {
    for (const input of box.querySelectorAll("input")) {
      const name = input.value;
      if (name in has && !has[name]) {
        input.parentElement.remove();
        continue;
      }
      input.addEventListener("change", () => state.set({ layer: name }));
      state.listen(({ layer }) => { input.checked = layer === name; });
    }
    this.layerNames = [...box.querySelectorAll("input")].map((input) => input.value);
  }

  legend(box, layer, payload, terrain, sigmaRange) {
    const range = { height: [terrain.min, terrain.max], sigma: sigmaRange && [0, sigmaRange[1]] }[layer];
    box.hidden = !range;
    if (!range) return;
    const unit = unitName(payload.height.unit);
    const digits = digitsFor(range[1] - range[0]) > 2 ? 2 : range[1] - range[0] < 20 ? 1 : 0;
    box.querySelector(".ramp").style.background = cssGradient(layer === "sigma" ? SIGMA_RAMP : HEIGHT_RAMP);
    const marks = [0, 0.5, 1].map((t) => plain(range[0] + t * (range[1] - range[0]), digits));
    box.querySelectorAll(".marks span").forEach((span, i) => { span.textContent = marks[i]; });
    box.querySelector(".what").textContent = layer === "sigma" ? `Uncertainty, one sigma (${unit})` : `Height (${unit})`;
  }

  facts(list, payload, terrain) {
    const { grid, height } = payload;
    const [width, depth] = [grid.basis[0], grid.basis[1]].map((v, i) => Math.hypot(...v) * (i ? grid.height : grid.width));
    const digits = terrain.max - terrain.min < 20 ? 1 : 0;
    const unit = unitName(height.unit);
    const rows = [
      ["Heights", `${plain(terrain.min, digits)} to ${plain(terrain.max, digits)} ${unit}`],
      ["Datum", height.datum],
      ["Area", grid.unit === "m" ? `${ground(width, "m")} × ${ground(depth, "m")}` : null],
      ["Pixels", `${plain(grid.source[0])} × ${plain(grid.source[1])}` +
        (grid.factor > 1 ? `, shown as ${grid.width} × ${grid.height}` : "")],
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

/** One number of the state on a slider and in a field; what is no number in range leaves the state alone. */
function number(state, name, slider, field, [least, most], tidy) {
  const take = (text) => {
    const value = Number(text);
    if (text.trim() === "" || !Number.isFinite(value)) return;
    const tidied = tidy(value);
    if (tidied >= least && tidied <= most) state.set({ [name]: tidied });
  };
  slider.addEventListener("input", () => take(slider.value));
  field.addEventListener("input", () => take(field.value));
  field.addEventListener("change", () => { field.value = short(state.get(name)); });
  state.listen((values, changed) => {
    if (!changed.includes(name)) return;
    slider.value = values[name];
    slider.style.setProperty("--part", (slider.value - slider.min) / (slider.max - slider.min));
    if (document.activeElement !== field) field.value = short(values[name]);
  });
}

function short(value) {
  return String(Number(value.toPrecision(3)));
}
