// The light: by hand, or the sun of a date, a time and a place.

import { number, toggle } from "./controls.js";
import { clock, moment, sunAt } from "./solar.js";

const tenths = (degrees) => String(Number(degrees.toFixed(1)));

export class Light {
  constructor(root, state) {
    this.state = state;
    const at = (id) => root.querySelector(`#${id}`);
    number(state, "sunAzimuth", at("azimuth"), at("azimuth-number"), [0, 360],
      { tidy: (v) => ((v % 360) + 360) % 360, show: tenths });
    number(state, "sunElevation", at("elevation"), at("elevation-number"), [0, 90], { show: tenths });
    toggle(state, "shadows", at("shadows"));
    number(state, "minutes", at("time"), null, [0, 1440]);
    number(state, "lon", null, at("lon"), [-180, 180]);
    number(state, "lat", null, at("lat"), [-90, 90]);
    at("date").addEventListener("input", () => state.set({ date: at("date").value }));
    at("by-hand").addEventListener("click", () => state.set({ date: "" }));
    // Turning the light by hand takes it from the clock.
    for (const id of ["azimuth", "azimuth-number", "elevation", "elevation-number"]) {
      at(id).addEventListener("input", () => state.set({ date: "" }));
    }
    state.listen((values, changed) => {
      if (document.activeElement !== at("date")) at("date").value = values.date;
      at("time").disabled = at("by-hand").hidden = !values.date;
      at("time-row").hidden = !values.date;
      const when = moment(values.date, values.minutes, values.lon ?? 0);
      if (Number.isNaN(when) || values.lon === null || values.lat === null) {
        at("light-says").textContent = values.date ? "Say where: longitude and latitude." : "";
        return;
      }
      const sun = sunAt(when, values.lon, values.lat);
      at("clock").textContent = `${clock(values.minutes)} solar time`;
      at("light-says").textContent = `${new Date(when).toISOString().slice(0, 16).replace("T", " ")} UTC: ` +
        (sun.elevation < 0 ? "the sun is below the horizon." : `sun ${sun.elevation.toFixed(1)}° high from ${sun.azimuth.toFixed(0)}°.`);
      if (changed.some((name) => ["date", "minutes", "lon", "lat"].includes(name))) {
        state.set({ sunAzimuth: sun.azimuth, sunElevation: sun.elevation, ...(changed.includes("date") ? { shadows: true } : {}) });
      }
    });
  }
}
