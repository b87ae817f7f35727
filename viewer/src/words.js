// Numbers as people read them.

export function plain(value, digits = 0) {
  // No minus before what is rounded to zero.
  const shown = Math.abs(value) < 0.5 / 10 ** digits ? 0 : value;
  return shown.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** Digits after the point that a range of heights deserves. */
export function digitsFor(span) {
  if (!(span > 0)) return 1;
  return Math.min(Math.max(Math.ceil(2 - Math.log10(span) + 1), 0), 4);
}

export function unitName(unit) {
  return unit === "px" ? "px" : unit;
}

/** A length on the ground; "m" becomes km where that reads better. */
export function ground(length, unit) {
  if (unit !== "m") return `${sig(length)} ${unitName(unit)}`;
  return length >= 1000 ? `${sig(length / 1000)} km` : `${sig(length)} m`;
}

/** An area on the ground. */
export function squared(value, unit) {
  if (unit !== "m") return `${sig(value)} ${unitName(unit)}²`;
  return value >= 1e5 ? `${sig(value / 1e6)} km²` : `${sig(value)} m²`;
}

function sig(value) {
  return value.toLocaleString("en-US", { maximumSignificantDigits: 3 });
}

export function coordinates([x, y], geographic) {
  if (!geographic) {
    const digits = Math.abs(x) < 1000 && Math.abs(y) < 1000 ? 1 : 0;
    return `x ${plain(x, digits)} · y ${plain(y, digits)}`;
  }
  return degrees([x, y]);
}

/** Latitude and longitude of [lon, lat]. */
export function degrees([x, y]) {
  // A raster across the date line counts on beyond 180.
  const lon = Math.abs(x) > 180 ? x - 360 * Math.round(x / 360) : x;
  return `${Math.abs(y).toFixed(5)}° ${y < 0 ? "S" : "N"} · ${Math.abs(lon).toFixed(5)}° ${lon < 0 ? "W" : "E"}`;
}

/** The greatest of 1, 2, 5 times a power of ten that is at most `length`. */
export function niceLength(length) {
  const power = 10 ** Math.floor(Math.log10(length));
  const lead = length / power;
  return (lead >= 5 ? 5 : lead >= 2 ? 2 : 1) * power;
}

/** What must be said about the heights, or "" when nothing is missing. */
export function caution(payload) {
  const { unit, datum } = payload.height;
  const flat = payload.grid.unit === "px";
  if (unit === "px") {
    return flat ? "Relative heights, no scale: in pixel widths, pixel size unknown."
      : "Relative heights, no scale: in pixel widths.";
  }
  if (flat) return "Pixel size unknown: heights and distances have no common scale.";
  return datum ? "" : "No vertical datum is stated: heights may be relative.";
}
