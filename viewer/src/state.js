// What the page shows, in one plain object; everything else listens. The address is one more listener.

import { chooseInterval } from "./contours.js";

export class State {
  constructor(values) {
    this.values = values;
    this.listeners = [];
  }

  get(name) {
    return this.values[name];
  }

  set(patch) {
    const changed = Object.keys(patch).filter((key) => patch[key] !== this.values[key]);
    if (!changed.length) return;
    Object.assign(this.values, patch);
    for (const listener of this.listeners) listener(this.values, changed);
  }

  /** Call `listener(values, changed)` now and after each change. */
  listen(listener) {
    this.listeners.push(listener);
    listener(this.values, Object.keys(this.values));
  }
}

/** The first state of a page; `low`, `high` are the heights it shows. */
export function firstState(payload, low, high) {
  const { view, place } = payload;
  const layer = view.layer ?? (payload.image ? "image" : "height");
  // Solar time may fall between two minutes; it is kept as it is, so that the moment stays the one that was given.
  const moment = view.date_utc && place ? Date.parse(view.date_utc) + place.lon * 240000 : null;
  return {
    exaggeration: view.exaggeration,
    sunAzimuth: view.sun_azimuth_deg,
    sunElevation: view.sun_elevation_deg,
    shadows: moment !== null,
    date: moment !== null ? new Date(moment).toISOString().slice(0, 10) : "",
    minutes: moment !== null ? (((moment / 60000) % 1440) + 1440) % 1440 : 630,
    lon: place?.lon ?? null,
    lat: place?.lat ?? null,
    layer,
    contours: false,
    contourInterval: chooseInterval(low, high),
    water: false,
    waterLevel: low + 0.15 * (high - low),
    compare: "off",
    other: payload.truth ? `truth:${layer}` : layer === "hillshade" ? "dem:height" : "dem:hillshade",
    split: 0.5,
    theme: "auto",
  };
}
