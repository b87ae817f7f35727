// Lines and areas on the ground: samples along a line, lengths, areas, and the table of a profile.

/** Height between pixel centres, bilinear; NaN beside a gap. */
export function heightBetween(terrain, values, col, row) {
  const { width, height } = terrain;
  if (!(col >= 0 && row >= 0 && col <= width - 1 && row <= height - 1)) return NaN;
  const c = Math.min(Math.floor(col), width - 2), r = Math.min(Math.floor(row), height - 2);
  const [u, v, i] = [col - c, row - r, r * width + c];
  return (values[i] * (1 - u) + values[i + 1] * u) * (1 - v) + (values[i + width] * (1 - u) + values[i + width + 1] * u) * v;
}

/** Points [col, row] and ground distances from the start, evenly spaced on a line through `points` ([col, row]). */
export function samples(terrain, points, closed = false, most = 600) {
  const corners = closed && points.length > 2 ? [...points, points[0]] : points;
  const legs = [];
  let total = 0;
  for (let k = 1; k < corners.length; k++) {
    const length = distance(terrain, corners[k - 1], corners[k]);
    legs.push({ from: corners[k - 1], to: corners[k], start: total, length });
    total += length;
  }
  if (!(total > 0)) return [];
  const pixels = corners.slice(1).reduce((sum, p, k) => sum + Math.hypot(p[0] - corners[k][0], p[1] - corners[k][1]), 0);
  const count = Math.min(Math.max(Math.ceil(pixels) + 1, 2), most);
  const out = [];
  let leg = 0;
  for (let k = 0; k < count; k++) {
    const at = (total * k) / (count - 1);
    while (leg < legs.length - 1 && at > legs[leg].start + legs[leg].length) leg++;
    const { from, to, start, length } = legs[leg];
    const part = length > 0 ? Math.min((at - start) / length, 1) : 0;
    out.push({ distance: at, col: from[0] + part * (to[0] - from[0]), row: from[1] + part * (to[1] - from[1]) });
  }
  return out;
}

/** Level distance in ground units of two places [col, row]. */
export function distance(terrain, one, other) {
  const [x1, z1] = terrain.ground(...one);
  const [x2, z2] = terrain.ground(...other);
  return Math.hypot(x2 - x1, z2 - z1);
}

/** Level area in square ground units inside the polygon of places [col, row]. */
export function area(terrain, points) {
  const ground = points.map((p) => terrain.ground(...p));
  let twice = 0;
  for (let k = 0; k < ground.length; k++) {
    const [x1, z1] = ground[k];
    const [x2, z2] = ground[(k + 1) % ground.length];
    twice += x1 * z2 - x2 * z1;
  }
  return Math.abs(twice) / 2;
}

/** {length, surface, up, down, low, high} of a profile whose samples carry `height`. */
export function summary(terrain, profile) {
  const sum = { length: profile.at(-1)?.distance ?? 0, surface: 0, up: 0, down: 0, low: Infinity, high: -Infinity };
  profile.forEach((p, k) => {
    if (p.height === p.height) [sum.low, sum.high] = [Math.min(sum.low, p.height), Math.max(sum.high, p.height)];
    if (!k) return;
    const run = p.distance - profile[k - 1].distance;
    const rise = p.height - profile[k - 1].height;
    sum.surface += Math.hypot(run, rise === rise ? rise * terrain.metres : 0);
    if (rise > 0) sum.up += rise;
    else if (rise < 0) sum.down -= rise;
  });
  return sum;
}

/** The profile as CSV text (RFC 4180); columns that no row has are left out, what is unknown stays empty. */
export function csv(profile, unit) {
  const columns = [["distance_" + unit.ground, "distance", 2], ["x", "x", 3], ["y", "y", 3], ["lon", "lon", 7],
    ["lat", "lat", 7], ["height_" + unit.height, "height", 3], ["sigma_" + unit.height, "sigma", 3],
    ["truth_" + unit.height, "truth", 3]].filter(([, key]) => profile.some((p) => p[key] !== undefined));
  const cell = (value, digits) => (Number.isFinite(value) ? String(Number(value.toFixed(digits))) : "");
  const lines = [columns.map(([name]) => name), ...profile.map((p) => columns.map(([, key, d]) => cell(p[key], d)))];
  return lines.map((line) => line.join(",")).join("\r\n") + "\r\n";
}
