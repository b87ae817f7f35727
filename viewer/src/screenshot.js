// A PNG of what is seen, with title and attribution on it, and if wanted legend and scale bar.

import { download } from "./download.js";

const PLATE = "rgba(255, 255, 255, 0.78)";
const INK = "#1c232b";

/** The picture of a frame just drawn on a canvas of its own, `width` pixels wide, with its label. */
export function labelled(view, payload, width = view.width) {
  const copy = document.createElement("canvas");
  copy.width = width;
  copy.height = Math.round((view.height * width) / view.width);
  copy.getContext("2d", { willReadFrequently: true });
  return { canvas: copy, ...label(copy, view, payload) };
}

/** Fill a canvas with the frame just drawn on `view`, and its label; returns {context, unit}. */
export function label(copy, view, { title, attribution }) {
  const context = copy.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(view, 0, 0, copy.width, copy.height);
  const unit = Math.max(11, Math.round(Math.sqrt(copy.width * copy.height) / 75));
  context.font = `${unit}px system-ui, sans-serif`;
  context.textBaseline = "bottom";
  const text = [title, attribution].filter(Boolean).join("  ·  ");
  const wide = Math.min(context.measureText(text).width + 1.4 * unit, copy.width);
  context.fillStyle = PLATE;
  context.fillRect(0, copy.height - 1.9 * unit, wide, 1.9 * unit);
  context.fillStyle = INK;
  context.fillText(text, 0.7 * unit, copy.height - 0.4 * unit, copy.width - 1.4 * unit);
  return { context, unit };
}

/** What is drawn over the picture, `scale` pixels for each of the page's. */
function drawInk({ context }, ink, scale) {
  context.lineJoin = "round";
  for (const shape of ink.children) {
    const style = getComputedStyle(shape);
    const number = (name) => scale * Number(shape.getAttribute(name));
    const path = new Path2D();
    if (shape.tagName === "circle") path.arc(number("cx"), number("cy"), number("r"), 0, 2 * Math.PI);
    else for (const point of shape.getAttribute("points").split(" ")) path.lineTo(...point.split(",").map((v) => scale * v));
    if (shape.tagName === "polygon") path.closePath();
    context.fillStyle = style.fill;
    context.strokeStyle = style.stroke;
    context.lineWidth = scale * parseFloat(style.strokeWidth);
    if (style.fill !== "none") context.fill(path);
    context.stroke(path);
  }
}

/** Draw a scale bar above the label: `bar` is {px, text}. */
function drawBar({ canvas, context, unit }, { px, text }) {
  const [x, y] = [0.7 * unit, canvas.height - 2.9 * unit];
  const wide = Math.max(px, context.measureText(text).width) + 1.4 * unit;
  context.fillStyle = PLATE;
  context.fillRect(0, y - 2 * unit, wide, 2.7 * unit);
  context.fillStyle = context.strokeStyle = INK;
  context.fillText(text, x, y - 0.35 * unit);
  context.lineWidth = Math.max(1.5, unit / 7);
  context.beginPath();
  context.moveTo(x, y - 0.3 * unit);
  context.lineTo(x, y + 0.2 * unit);
  context.lineTo(x + px, y + 0.2 * unit);
  context.lineTo(x + px, y - 0.3 * unit);
  context.stroke();
}

/** Draw a legend {title, ramp, marks} whose lower edge is `bottom`, at the right; returns its upper edge. */
function drawLegend({ canvas, context, unit }, { title, ramp, marks }, bottom) {
  const wide = Math.min(Math.max(15 * unit, context.measureText(title).width), canvas.width - 3 * unit);
  const [left, top] = [canvas.width - wide - 1.4 * unit, bottom - 4.6 * unit];
  context.fillStyle = PLATE;
  context.fillRect(left - 0.7 * unit, top, wide + 2.1 * unit, 4.6 * unit);
  context.fillStyle = INK;
  context.fillText(title, left, top + 1.7 * unit, wide);
  const colours = context.createLinearGradient(left, 0, left + wide, 0);
  for (const [t, colour] of ramp) colours.addColorStop(t, colour);
  context.fillStyle = colours;
  context.fillRect(left, top + 1.9 * unit, wide, unit);
  context.fillStyle = INK;
  marks.forEach((text, k) => {
    const part = k / (marks.length - 1);
    context.textAlign = ["left", "center", "right"][part === 0 ? 0 : part === 1 ? 2 : 1];
    context.fillText(text, left + part * wide, top + 4.3 * unit);
  });
  context.textAlign = "left";
  return top;
}

/** Save the frame just drawn, with what is drawn over it; `marks` is {bar: {px, text}, legends: [{title, ramp, marks}]}, or null for neither. */
export function savePicture(view, payload, ink, marks) {
  const picture = labelled(view, payload);
  drawInk(picture, ink, view.width / view.clientWidth);
  if (marks) {
    drawBar(picture, marks.bar);
    marks.legends.reduceRight((bottom, legend) => drawLegend(picture, legend, bottom) - 0.4 * picture.unit, view.height);
  }
  picture.canvas.toBlob((blob) => download(blob, payload.title, ".png"), "image/png");
}
