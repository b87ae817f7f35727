// Which parts of the surface are drawn how finely: a quadtree of square nodes, each drawn as one grid of NODE x NODE
// cells. A node's stride is the distance of its vertices in pixels of the mesh: whole above the decoded heights,
// 1/2, 1/4 ... below them, where the page holds finer tiles.

export const NODE = 32;

export class Quadtree {
  /** @param terrain filled heights; @param finer levels of detail below the mesh, 0 or more */
  constructor(terrain, finer = 0) {
    const { width, height } = terrain;
    Object.assign(this, { width, height, finer });
    this.levels = [];
    let stride = 1;
    for (;;) {
      const level = { stride, cols: Math.max(1, Math.ceil((width - 1) / (NODE * stride))),
        rows: Math.max(1, Math.ceil((height - 1) / (NODE * stride))) };
      const count = level.cols * level.rows;
      Object.assign(level, { error: new Float32Array(count), low: new Float32Array(count), high: new Float32Array(count) });
      this.levels.push(level);
      if (stride === 1) this.measureLeaves(terrain.filled, level);
      else this.measure(terrain.filled, level, this.levels.at(-2));
      if (count === 1) break;
      stride *= 2;
    }
  }

  measureLeaves(filled, level) {
    const { width, height } = this;
    for (let j = 0, n = 0; j < level.rows; j++) for (let i = 0; i < level.cols; i++, n++) {
      let low = Infinity, high = -Infinity;
      const [rowEnd, colEnd] = [Math.min((j + 1) * NODE, height - 1), Math.min((i + 1) * NODE, width - 1)];
      for (let r = j * NODE; r <= rowEnd; r++) for (let k = r * width + i * NODE, end = r * width + colEnd; k <= end; k++) {
        const h = filled[k];
        if (h < low) low = h;
        if (h > high) high = h;
      }
      level.low[n] = low;
      level.high[n] = high;
    }
  }

  /** What is lost when every second vertex of the level below is left out, and the bounds of four nodes in one. */
  measure(filled, level, below) {
    const { width, height } = this;
    const [s, half] = [level.stride, level.stride / 2];
    const last = width - 1, bottom = height - 1;
    for (let j = 0, n = 0; j < level.rows; j++) for (let i = 0; i < level.cols; i++, n++) {
      let low = Infinity, high = -Infinity, error = 0;
      for (const jj of [2 * j, 2 * j + 1]) for (const ii of [2 * i, 2 * i + 1]) {
        if (jj >= below.rows || ii >= below.cols) continue;
        const m = jj * below.cols + ii;
        low = Math.min(low, below.low[m]);
        high = Math.max(high, below.high[m]);
        error = Math.max(error, below.error[m]);
      }
      const rowEnd = Math.min((j + 1) * NODE * s, bottom), colEnd = Math.min((i + 1) * NODE * s, last);
      for (let r = j * NODE * s; r < rowEnd; r += s) for (let c = i * NODE * s; c < colEnd; c += s) {
        const [r2, c2] = [Math.min(r + s, bottom), Math.min(c + s, last)];
        const [rm, cm] = [Math.min(r + half, bottom), Math.min(c + half, last)];
        const a = filled[r * width + c], b = filled[r * width + c2], d = filled[r2 * width + c];
        const e1 = Math.abs(filled[r * width + cm] - (a + b) / 2);
        const e2 = Math.abs(filled[rm * width + c] - (a + d) / 2);
        const e3 = Math.abs(filled[rm * width + cm] - (b + d) / 2);
        error = Math.max(error, e1, e2, e3);
      }
      level.low[n] = low;
      level.high[n] = high;
      level.error[n] = error;
    }
  }

  /** {level, i, j, stride, error, low, high} of the top. */
  get root() {
    return this.node(this.levels.length - 1, 0, 0);
  }

  /** Node of a level: 0 is the mesh itself, 1 half of it and so on; -1, -2 ... are the finer ones. */
  node(k, i, j) {
    if (k >= 0) {
      const { stride, cols, error, low, high } = this.levels[k];
      const n = j * cols + i;
      return { k, i, j, stride, error: error[n], low: low[n], high: high[n] };
    }
    // What finer tiles hold is not known before they are read: bounds of the leaf above, half its neighbours' error.
    const leaf = this.node(0, i >> -k, j >> -k);
    return { ...leaf, k, i, j, stride: 2 ** k, error: 0 };
  }

  children({ k, i, j }) {
    if (k <= -this.finer) return [];
    const out = [];
    const span = NODE * 2 ** (k - 1);
    for (const jj of [2 * j, 2 * j + 1]) for (const ii of [2 * i, 2 * i + 1]) {
      if (ii * span < this.width - 1 && jj * span < this.height - 1) out.push(this.node(k - 1, ii, jj));
    }
    return out;
  }

  /**
   * Nodes to draw.
   * @param seen seen(node): whether any of it is in the picture
   * @param pixels pixels(node): {error, cell}: how many pixels of the screen its error and one cell of it cover
   * @param ready ready(node): whether the finer heights of its children are at hand (asks for them if not)
   */
  select({ seen, pixels, ready, tolerance, cell = 2, most = 400 }) {
    const chosen = [];
    let level = [this.root].filter(seen);
    // Level by level, so that a full list is coarse everywhere rather than fine in one corner; and what is near comes first.
    while (level.length) {
      const next = [];
      const sized = level.map((node) => ({ node, size: pixels(node) })).sort((a, b) => b.size.cell - a.size.cell);
      sized.forEach(({ node, size }, n) => {
        // Finer tiles bring light and shade as well, so level ground wants them too where a pixel of the mesh looks large.
        const close = size.cell / Math.max(node.stride, 1) > cell;
        const wanted = node.k > 0 ? size.error > tolerance || (this.finer > 0 && close) : close;
        const children = wanted ? this.children(node) : [];
        const inside = children.filter(seen);
        const full = chosen.length + next.length + inside.length + sized.length - n - 1 > most;
        if (children.length && !full && (node.k > 0 || ready(node))) next.push(...inside);
        else chosen.push(node);
      });
      level = next;
    }
    return chosen;
  }
}
