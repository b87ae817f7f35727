// The state in the address: #layer=slope&x=2&sun=150,35&eye=...; what is not understood is left out.

const NUMBER = { x: ["exaggeration", 1e-6, 1000], w: ["waterLevel", -1e7, 1e7], ci: ["contourInterval", 1e-6, 1e6],
  split: ["split", 0.02, 0.98], min: ["minutes", 0, 1440], lon: ["lon", -180, 180], lat: ["lat", -90, 90] };
const FLAG = { water: "water", contours: "contours", shadows: "shadows" };
const WORD = { layer: "layer", compare: "compare", other: "other", date: "date", theme: "theme" };

/** What may be drawn: places in parts of the raster's width and height, so that they hold for a page of another size. */
const DRAWN = ["line", "area"];
const MOST_PLACES = 200;

const short = (value) => String(Number(value.toPrecision(6)));

/** Text after "#" for what differs from `first`; `view` is {eye, target, frames, drawn}. */
export function toHash(values, first, view) {
  const parts = [];
  const put = (key, text) => parts.push(`${key}=${encodeURIComponent(text).replaceAll("%2C", ",").replaceAll("%3A", ":")}`);
  for (const [key, name] of Object.entries(WORD)) if (values[name] !== first[name]) put(key, values[name]);
  for (const [key, [name]] of Object.entries(NUMBER)) {
    if (values[name] !== first[name] && values[name] !== null) put(key, short(values[name]));
  }
  for (const [key, name] of Object.entries(FLAG)) if (values[name] !== first[name]) put(key, values[name] ? "1" : "0");
  if (values.sunAzimuth !== first.sunAzimuth || values.sunElevation !== first.sunElevation) {
    put("sun", [values.sunAzimuth, values.sunElevation].map(short).join(","));
  }
  if (view?.eye) put("eye", [...view.eye, ...view.target].map(short).join(","));
  if (view?.frames?.length) put("way", view.frames.map((f) => [...f.eye, ...f.target].map(short).join(",")).join(":"));
  if (view?.drawn?.places.length) put(view.drawn.kind, view.drawn.places.map((place) => place.map(short).join(",")).join(":"));
  return parts.join("&");
}

/** {values, eye, target, frames, drawn} of a hash; `allowed` gives the words each name may have. */
export function fromHash(text, allowed) {
  const out = { values: {}, frames: [] };
  const parts = new URLSearchParams(text.replace(/^#/, ""));
  for (const [key, name] of Object.entries(WORD)) {
    const word = parts.get(key);
    if (word !== null && (name === "date" ? /^\d{4}-\d\d-\d\d$/.test(word) : allowed[name]?.includes(word))) out.values[name] = word;
  }
  for (const [key, [name, least, most]] of Object.entries(NUMBER)) {
    const number = Number(parts.get(key) ?? NaN);
    if (number >= least && number <= most) out.values[name] = number;
  }
  for (const [key, name] of Object.entries(FLAG)) if (/^[01]$/.test(parts.get(key) ?? "")) out.values[name] = parts.get(key) === "1";
  const sun = numbers(parts.get("sun"), 2);
  if (sun && sun[1] >= -90 && sun[1] <= 90) Object.assign(out.values, { sunAzimuth: ((sun[0] % 360) + 360) % 360, sunElevation: sun[1] });
  const view = (list) => list && { eye: list.slice(0, 3), target: list.slice(3) };
  Object.assign(out, view(numbers(parts.get("eye"), 6)));
  const way = (parts.get("way") ?? "").split(":").map((one) => view(numbers(one, 6)));
  if (way.every(Boolean)) out.frames = way.slice(0, 50);
  for (const kind of DRAWN) {
    const places = (parts.get(kind) ?? "").split(":").map((one) => numbers(one, 2));
    if (places.every((place) => place?.every((v) => v >= 0 && v <= 1))) out.drawn = { kind, places: places.slice(0, MOST_PLACES) };
  }
  return out;
}

function numbers(text, count) {
  const list = (text ?? "").split(",").map((part) => (part.trim() === "" ? NaN : Number(part)));
  // The scene is one unit wide: nothing sensible lies a hundred units away.
  return list.length === count && list.every((v) => Number.isFinite(v) && Math.abs(v) <= 360) ? list : null;
}
