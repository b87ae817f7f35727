// A PNG of what is seen, with title and attribution on it, and if wanted legend and scale bar.

import { download } from "./download.js";

const PLATE = "rgba(255, 255, 255, 0.78)";
const INK = "#1c232b";

/** The picture of a frame just drawn on a canvas of its own, `width` pixels wide, with its label. */
export function labelled(view, { title, attribution }, width = view.width) {
  const copy = document.createElement("canvas");
  copy.width = width;
  copy.height = Math.round((view.height * width) / view.width);
  const context = copy.getContext("2d", { willReadFrequently: true });
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
  return { canvas: copy, context, unit };
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

/** Save the frame just drawn; `marks` is {bar: {px, text}, legends: [{title, ramp, marks}]}, or null for neither. */
export function savePicture(view, payload, marks) {
  const picture = labelled(view, payload);
  if (marks) {
    drawBar(picture, marks.bar);
    marks.legends.reduceRight((bottom, legend) => drawLegend(picture, legend, bottom) - 0.4 * picture.unit, view.height);
  }
  picture.canvas.toBlob((blob) => download(blob, payload.title, ".png"), "image/png");
}
