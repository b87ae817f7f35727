// What lies over the picture and follows the camera: scale bar, north arrow, the height under the cursor.

import { lonLat } from "./place.js";
import { pick } from "./pick.js";
import { coordinates, degrees, digitsFor, ground, niceLength, plain, unitName } from "./words.js";

const BAR_PX = 130;

export class Overlay {
  /** @param data {terrain, truth, payload, sigma, detail} */
  constructor(root, data, eye) {
    Object.assign(this, data, { eye });
    this.bar = root.querySelector("#scale");
    this.barText = root.querySelector("#scale-text");
    this.needle = root.querySelector("#needle");
    this.readout = root.querySelector("#readout");
    this.digits = digitsFor(this.terrain.max - this.terrain.min);
  }

  /** Scale bar for the middle of the view: {px, text}, in pixels of the page. */
  get scaleBar() {
    const perPixel = this.eye.groundPerPixel;
    const length = niceLength(BAR_PX * perPixel);
    return { px: length / perPixel, text: ground(length, this.payload.grid.unit) };
  }

  follow() {
    const { px, text } = this.scaleBar;
    this.bar.style.width = `${px.toFixed(1)}px`;
    this.barText.textContent = text;
    this.needle.style.transform = `rotate(${(-this.eye.heading).toFixed(1)}deg)`;
  }

  /** Show what lies under a point of the screen; returns the hit or null. */
  read(x, y, exaggeration) {
    const { origin, direction } = this.eye.ray(x, y);
    const shown = this.eye.pane(x).surface === "truth" && this.truth ? this.truth : this.terrain;
    const hit = pick(shown, origin, direction, exaggeration);
    this.readout.classList.toggle("empty", hit === null);
    if (hit) this.readout.replaceChildren(...this.lines(hit, shown));
    return hit;
  }

  lines({ row, col, height, place: between }, shown) {
    const { payload, terrain, truth, digits } = this;
    const unit = unitName(payload.height.unit);
    const shift = payload.truth?.shift ?? 0;
    const i = row * terrain.width + col;
    const sure = (v) => (Number.isFinite(v) ? plain(v, digits) : "none");
    const spread = this.sigma ? this.sigma[i] : NaN;
    const fine = shown === terrain ? this.detail?.heightAt(...between) : NaN;
    const value = shown === truth ? height + shift : Number.isFinite(fine) ? fine : height;
    const band = shown === truth || Number.isNaN(spread) ? "" : ` ± ${plain(spread, digits)}`;
    const rows = [["height", `${plain(value, digits)}${band} ${unit}${shown === truth ? " (truth)" : ""}`]];
    if (truth) {
      const [mine, other] = [terrain.heights[i], truth.heights[i]];
      if (shown === truth) rows.push(["place", `predicted ${sure(mine)} ${unit}`]);
      else rows.push(["place", `truth ${sure(other + shift)} · error ${sure(mine - other)} ${unit}${shift ? ", offset removed" : ""}`]);
    }
    const { grid } = payload;
    const [x, y] = terrain.coordinates(col, row);
    rows.push(["place", grid.crs ? coordinates([x, y], grid.geographic) : `column ${col * grid.factor} · row ${row * grid.factor}`]);
    const place = grid.geographic ? null : lonLat(payload.place, grid, col, row);
    if (place) rows.push(["place", degrees(place)]);
    return rows.map(([name, text]) => {
      const line = document.createElement("span");
      line.className = name;
      line.textContent = text;
      return line;
    });
  }
}
