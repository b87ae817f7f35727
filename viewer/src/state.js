// What the page shows, in one plain object; everything else listens. (A URL hash can be one more listener.)

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

/** The first state of a page. */
export function firstState(payload) {
  return new State({
    exaggeration: payload.view.exaggeration,
    sunAzimuth: payload.view.sun_azimuth_deg,
    sunElevation: payload.view.sun_elevation_deg,
    layer: payload.image ? "image" : "height",
  });
}
