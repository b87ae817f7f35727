// A way through key frames: each a place of the eye and what it looks at, in scene units.

/** Seconds from one key frame to the next, and of one turn of the turntable. */
export const LEG_S = 3;
export const TURN_S = 12;

/** {eye, target} at `t` in [0, 1] on a smooth curve through `frames` (centripetal enough for views: Catmull-Rom). */
export function pose(frames, t) {
  if (frames.length === 1) return frames[0];
  const legs = frames.length - 1;
  const x = Math.min(Math.max(t, 0), 1) * legs;
  const k = Math.min(Math.floor(x), legs - 1);
  const near = [k - 1, k, k + 1, k + 2].map((i) => frames[Math.min(Math.max(i, 0), legs)]);
  // A still start and a still end: the first and the last leg are eased.
  const u = eased(x - k, k === 0, k === legs - 1);
  const blend = (key) => near[0][key].map((_, axis) => spline(...near.map((f) => f[key][axis]), u));
  return { eye: blend("eye"), target: blend("target") };
}

function eased(u, first, last) {
  if (first && last) return u * u * (3 - 2 * u);
  if (first) return u * u * (2 - u);
  if (last) return u * (1 + u - u * u);
  return u;
}

function spline(a, b, c, d, u) {
  return b + 0.5 * u * (c - a + u * (2 * a - 5 * b + 4 * c - d + u * (3 * (b - c) + d - a)));
}

/** The pose turned by `degrees` around the vertical through its target. */
export function turned({ eye, target }, degrees) {
  const angle = (degrees * Math.PI) / 180;
  const [x, z] = [eye[0] - target[0], eye[2] - target[2]];
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  return { eye: [target[0] + x * c - z * s, eye[1], target[2] + x * s + z * c], target: [...target] };
}
