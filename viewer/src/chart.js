// The profile as a drawing: heights over distance, the truth beside them, sigma around them.

import { niceLength, plain } from "./words.js";

const NS = "http://www.w3.org/2000/svg";
export const CHART = { width: 520, height: 132, left: 44, right: 10, top: 8, bottom: 20 };

/** Scales and paths of a profile: {x, y, line, truth, band, ticks}; pure, so that it can be tested without a page. */
export function layout(profile) {
  const { width, height, left, right, top, bottom } = CHART;
  const length = profile.at(-1).distance || 1;
  let low = Infinity, high = -Infinity;
  for (const p of profile) for (const v of [p.height, p.truth, p.height - p.sigma, p.height + p.sigma]) {
    if (Number.isFinite(v)) [low, high] = [Math.min(low, v), Math.max(high, v)];
  }
  if (low > high) [low, high] = [0, 1];
  const pad = (high - low) * 0.06 || 0.5;
  low -= pad;
  high += pad;
  const x = (d) => left + (d / length) * (width - left - right);
  const y = (h) => top + (1 - (h - low) / (high - low)) * (height - top - bottom);
  const path = (key) => {
    let pen = "M", text = "";
    for (const p of profile) {
      if (Number.isFinite(p[key])) text += `${pen}${x(p.distance).toFixed(1)} ${y(p[key]).toFixed(1)}`;
      pen = Number.isFinite(p[key]) ? "L" : "M";
    }
    return text;
  };
  // One closed shape for each run without a gap.
  const runsOf = profile.reduce((list, p) => {
    if (!Number.isFinite(p.sigma) || !Number.isFinite(p.height)) list.push([]);
    else list.at(-1).push(p);
    return list;
  }, [[]]).filter((run) => run.length > 1);
  const edge = (run, sign) => run.map((p) => `${x(p.distance).toFixed(1)} ${y(p.height + sign * p.sigma).toFixed(1)}`);
  const band = runsOf.map((run) => `M${[...edge(run, 1), ...edge(run, -1).reverse()].join("L")}Z`).join("");
  const step = niceLength(Math.max((high - low) / 2.5, 1e-9));
  const rises = [];
  for (let v = Math.ceil(low / step) * step; v <= high; v += step) rises.push(v);
  const stride = niceLength(length / 3.5);
  const runs = [];
  for (let v = 0; v <= length * 1.0001; v += stride) runs.push(v);
  return { x, y, length, line: path("height"), truth: path("truth"), band, rises, runs, step, stride };
}

export function drawChart(svg, profile, unit) {
  const { width, height, left, right, bottom } = CHART;
  const plan = layout(profile);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const parts = [];
  const put = (tag, attributes, text) => {
    const element = document.createElementNS(NS, tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    parts.push(element);
    return element;
  };
  const digits = Math.min(Math.max(-Math.floor(Math.log10(plan.step)), 0), 4);
  for (const v of plan.rises) {
    put("line", { class: "grid", x1: left, x2: width - right, y1: plan.y(v), y2: plan.y(v) });
    put("text", { x: left - 6, y: plan.y(v) + 3.5, "text-anchor": "end" }, plain(v, digits));
  }
  const far = unit === "m" && plan.length >= 2000;
  const shown = (v) => plain(far ? v / 1000 : v, Math.min(Math.max(-Math.floor(Math.log10(plan.stride / (far ? 1000 : 1))), 0), 3));
  plan.runs.forEach((v, k) => put("text", { x: plan.x(v), y: height - 4, "text-anchor": k ? "middle" : "start" },
    shown(v) + (k === plan.runs.length - 1 ? ` ${far ? "km" : unit}` : "")));
  if (plan.band) put("path", { class: "band", d: plan.band });
  if (plan.truth) put("path", { class: "truth", d: plan.truth });
  put("path", { class: "line", d: plan.line });
  put("line", { class: "cursor", y1: CHART.top, y2: height - bottom, x1: -9, x2: -9 });
  svg.replaceChildren(...parts);
  return plan;
}
