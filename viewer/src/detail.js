// Finer heights than the mesh, read tile by tile when somebody comes near; the oldest go when there are too many.

import { decodeField } from "./payload.js";
import { Terrain } from "./terrain.js";

export class Detail {
  /**
   * @param levels payload.detail.levels, coarse to fine: level n has 2 ** (n + 1) pixels where the mesh has one
   * @param source text of a tile by id; @param arrived called after each tile; @param most tiles in memory
   */
  constructor(payload, source, arrived, most) {
    const { detail } = payload;
    Object.assign(this, { payload, source, arrived, most, levels: detail?.levels ?? [], tile: detail?.tile ?? 0,
      border: detail?.border ?? 0, held: new Map(), waiting: new Set(), busy: false, age: 0 });
  }

  /** Tile over a node of stride 2 ** -n: {key, level, i, j}. `node` is the node's size in cells. */
  over({ k, i, j }, node) {
    const per = this.tile / node;
    return { key: `${-k - 1}-${Math.floor(j / per)}-${Math.floor(i / per)}`, n: -k - 1,
      i: Math.floor(i / per), j: Math.floor(j / per) };
  }

  /** The tile if it is here; if not it is read soon. */
  get(address) {
    const found = this.held.get(address.key);
    if (found) found.age = ++this.age;
    else if (!this.waiting.has(address.key)) {
      this.waiting.add(address.key);
      this.work(address);
    }
    return found ?? null;
  }

  async work(address) {
    (this.queue ??= []).push(address);
    if (this.busy) return;
    this.busy = true;
    while (this.queue.length) {
      // The latest wish is nearest to where the eye is now.
      const next = this.queue.pop();
      const text = this.source(`tile-${next.key}`);
      if (text) {
        this.held.set(next.key, { ...(await this.read(next, text)), age: ++this.age });
        this.drop();
        this.arrived();
      }
      this.waiting.delete(next.key);
      // A breath between two tiles keeps the page alive while many are read.
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    this.busy = false;
  }

  async read({ n, i, j }, text) {
    const { values, filled } = await decodeField(JSON.parse(text));
    const { payload, tile, border } = this;
    const ratio = 2 ** (n + 1);
    const side = tile + 2 * border;
    const basis = payload.grid.basis.map((step) => step.map((v) => v / ratio));
    const terrain = new Terrain({ ...payload.grid, width: side, height: side, basis }, payload.height.metres, values, filled);
    // From centres of mesh pixels to centres of texels: t = p * scale + shift.
    const shift = [i, j].map((at) => 0.5 * ratio - 0.5 - at * tile + border);
    return { terrain, side, scale: ratio, shift };
  }

  drop() {
    while (this.held.size > this.most) {
      const [key, old] = [...this.held].reduce((a, b) => (a[1].age < b[1].age ? a : b));
      old.textures?.forEach((texture) => texture.dispose());
      this.held.delete(key);
    }
  }

  /** Height at a place of the mesh from the finest tile at hand, or NaN. */
  heightAt(col, row) {
    for (let n = this.levels.length - 1; n >= 0; n--) {
      const ratio = 2 ** (n + 1);
      const [c, r] = [Math.floor((col + 0.5) * ratio), Math.floor((row + 0.5) * ratio)];
      const key = `${n}-${Math.floor(r / this.tile)}-${Math.floor(c / this.tile)}`;
      const found = this.held.get(key);
      if (found) return found.terrain.heightAt((r % this.tile) + this.border, (c % this.tile) + this.border);
    }
    return NaN;
  }
}
