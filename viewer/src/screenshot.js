// A PNG of what is seen, with title and attribution on it.

import { download } from "./download.js";

/** The picture of a frame just drawn on a canvas of its own, `width` pixels wide, with its label. */
export function labelled(view, { title, attribution }, width = view.width) {
  const copy = document.createElement("canvas");
  copy.width = width;
  copy.height = Math.round((view.height * width) / view.width);
  const context = copy.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(view, 0, 0, copy.width, copy.height);
  const unit = Math.max(11, Math.round(copy.width / 90));
  context.font = `${unit}px system-ui, sans-serif`;
  context.textBaseline = "bottom";
  const text = [title, attribution].filter(Boolean).join("  ·  ");
  const wide = Math.min(context.measureText(text).width + 1.4 * unit, copy.width);
  context.fillStyle = "rgba(255, 255, 255, 0.72)";
  context.fillRect(0, copy.height - 1.9 * unit, wide, 1.9 * unit);
  context.fillStyle = "#1c232b";
  context.fillText(text, 0.7 * unit, copy.height - 0.4 * unit, copy.width - 1.4 * unit);
  return { canvas: copy, context };
}

export function savePicture(view, payload) {
  labelled(view, payload).canvas.toBlob((blob) => download(blob, payload.title, ".png"), "image/png");
}
