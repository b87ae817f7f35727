// What the page says.

export const STEPS = { upload: "Send", check: "Look at the picture", predict: "Predict heights", level: "Level tiles",
  write: "Blend and write", page: "Build the 3D page" };
const FORMATS = { GTiff: "GeoTIFF", JP2OpenJPEG: "JPEG 2000", WEBP: "WebP" };
const STATES = { queued: "waiting", running: "working", done: "ready", failed: "failed" };
const number = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const whole = new Intl.NumberFormat("en");

export const size = (bytes) => bytes < 1e6 ? `${number.format(bytes / 1e3)} kB` : bytes < 1e9 ? `${number.format(bytes / 1e6)} MB` : `${number.format(bytes / 1e9)} GB`;

/** "768 × 768 px · 31 m a pixel · GeoTIFF · 309 kB". */
export function facts(job) {
  const format = job.picture ? [FORMATS[job.picture.format] ?? job.picture.format] : [];
  return [...extent(job.picture), ...format, size(job.size_bytes)].join(" · ");
}

const extent = (p) => p ? [`${whole.format(p.width)} × ${whole.format(p.height)} px`, p.gsd_m ? `${number.format(p.gsd_m)} m a pixel` : "no scale known"] : [];

/** What the heights are, for the strip above the view. */
export function resultFacts(job) {
  const r = job.result;
  const sun = r.sun_azimuth_deg === null ? "sun unknown" : `sun ${Math.round(r.sun_azimuth_deg)}°, ${Math.round(r.sun_elevation_deg)}° high`;
  const unit = r.unit === "m" ? "relative heights in metres" : "relative heights in pixel sizes";
  return [...extent(job.picture), unit, sun, `kept until ${clock(job.expires)}`].join(" · ");
}

export function state(job) {
  if (job.state === "running") return `${Math.round(job.progress * 100)} %`;
  if (job.state === "queued" && job.position > 1) return `waiting, ${job.position - 1} before`;
  return STATES[job.state];
}

/** One line below the bar. */
export function says(job, seconds) {
  if (job.state === "queued") return job.position > 1 ? `Waiting: ${job.position - 1} before this one.` : "Starts in a moment.";
  if (job.state === "failed") return sentence(job.failure.message.replace(`${job.name}: `, "")); // it stands above
  return `${Math.round(job.progress * 100)} %, ${duration(seconds)}${rest(job.progress, seconds)}`;
}

export const sentence = (text) => text ? text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".") : "";

export function detail(stage, done, total) {
  if (stage === "predict" && total > 1) return `tile ${whole.format(done)} of ${whole.format(total)}`;
  if (stage === "write") return `row ${whole.format(done)} of ${whole.format(total)}`;
  return "";
}

export function duration(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  return seconds < 3600 ? `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s` : `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

function rest(progress, seconds) {
  if (progress < 0.1 || seconds < 8) return "";
  const left = (seconds * (1 - progress)) / progress;
  return left < 5 ? ", nearly done" : `, about ${duration(left)} left`;
}

export function ago(iso) {
  const seconds = (Date.now() - Date.parse(iso)) / 1000;
  if (seconds < 60) return "just now";
  return seconds < 3600 ? `${Math.floor(seconds / 60)} min ago` : seconds < 86400 ? `${Math.floor(seconds / 3600)} h ago` : `${Math.floor(seconds / 86400)} d ago`;
}

const clock = (iso) => new Date(iso).toLocaleString([], { weekday: "short", hour: "2-digit", minute: "2-digit" });

export const takes = (limits) =>
  `GeoTIFF, JPEG 2000, PNG, JPEG or WebP, up to ${size(limits.upload_bytes)} and ${whole.format(limits.pixels / 1e6)} million pixels.`;
