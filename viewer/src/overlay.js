// What lies over the picture and follows the camera: scale bar, north arrow, the height under the cursor.

import { pick } from "./pick.js";
import { coordinates, digitsFor, ground, niceLength, plain, unitName } from "./words.js";

const BAR_PX = 130;

export class Overlay {
  constructor(root, terrain, payload, eye, sigma) {
    Object.assign(this, { terrain, payload, eye, sigma });
    this.bar = root.querySelector("#scale");
    this.barText = root.querySelector("#scale-text");
    this.needle = root.querySelector("#needle");
    this.readout = root.querySelector("#readout");
    this.digits = digitsFor(terrain.max - terrain.min);
  }

  follow() {
    const perPixel = this.eye.groundPerPixel;
    const length = niceLength(BAR_PX * perPixel);
    this.bar.style.width = `${(length / perPixel).toFixed(1)}px`;
    this.barText.textContent = ground(length, this.payload.grid.unit);
    this.needle.style.transform = `rotate(${(-this.eye.heading).toFixed(1)}deg)`;
  }

  /** Show what lies under a point of the screen; returns the hit or null. */
  read(x, y, exaggeration) {
    const { origin, direction } = this.eye.ray(x, y);
    const hit = pick(this.terrain, origin, direction, exaggeration);
    this.readout.classList.toggle("empty", hit === null);
    if (hit) this.readout.replaceChildren(...this.lines(hit));
    return hit;
  }

  lines({ row, col, height }) {
    const { payload, terrain } = this;
    const unit = unitName(payload.height.unit);
    const spread = this.sigma ? this.sigma[row * terrain.width + col] : NaN;
    const sure = Number.isNaN(spread) ? "" : ` ± ${plain(spread, this.digits)}`;
    const place = payload.grid.crs
      ? coordinates(terrain.coordinates(col, row), payload.grid.geographic)
      : `column ${col * payload.grid.factor} · row ${row * payload.grid.factor}`;
    return [["height", `${plain(height, this.digits)}${sure} ${unit}`], ["place", place]].map(([name, text]) => {
      const line = document.createElement("span");
      line.className = name;
      line.textContent = text;
      return line;
    });
  }
}
