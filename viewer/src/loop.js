// When to draw: only after a change; coarse while the camera moves on a slow machine, fine as soon as it rests.

const SLOW_MS = 40;
const REST_MS = 180;
const STALL_MS = 10000;

export class Loop {
  /** @param step called before each drawing; returns true while something still moves
   *  @param draw draw(light)
   *  @param slow whether this machine is known to be slow from the start */
  constructor(step, draw, slow) {
    Object.assign(this, { step, draw, asked: false, refine: false, slow, first: slow, last: 0, moved: 0, timer: 0 });
  }

  /** Draw soon; `moving` when the camera or a slider is on its way. */
  ask(moving = false) {
    if (moving) this.moved = performance.now();
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame((now) => this.frame(now));
  }

  /** True when the last drawing was a fine one and none is on its way. */
  get resting() {
    return !this.asked && !this.refine;
  }

  frame(now) {
    this.asked = false;
    // A slow machine shows something first and the rest when that is on the screen.
    const moving = this.first || performance.now() - this.moved < REST_MS;
    this.first = false;
    const gap = now - this.last;
    // Two drawings in a row while moving tell what a frame costs here, the graphics card's queue included.
    if (moving && this.wasMoving && gap > SLOW_MS && gap < STALL_MS) this.slow = true;
    this.last = now;
    this.wasMoving = moving;
    if (this.step()) this.ask(true);
    this.draw(moving && this.slow);
    this.refine = false;
    if (moving && this.slow) {
      clearTimeout(this.timer);
      this.refine = true;
      this.timer = setTimeout(() => this.ask(), REST_MS + 20);
    }
  }
}
