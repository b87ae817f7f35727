// The state in the address of the page, so that a link opens what was seen.

import { fromHash, toHash } from "./hash.js";

const WAIT_MS = 250;

export class Address {
  /** @param first values of a page without a hash; @param view gives {eye, target, frames, drawn} */
  constructor(first, view) {
    Object.assign(this, { first, view, timer: 0, moved: false });
  }

  static read(allowed) {
    return fromHash(location.hash, allowed);
  }

  /** Write soon; a camera that was moved by somebody goes in too. */
  later(state, moved = false) {
    this.moved ||= moved;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.write(state), WAIT_MS);
  }

  text(state) {
    const { frames, drawn, ...pose } = this.view();
    return toHash(state.values, this.first, { ...(this.moved ? pose : {}), frames, drawn });
  }

  write(state) {
    const text = this.text(state);
    if (location.hash.replace(/^#/, "") === text) return;
    try {
      history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
    } catch {
      // A page inside a frame without an address of its own has nowhere to write to.
    }
  }
}
