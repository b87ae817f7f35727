// A PNG of what is seen, with title and attribution on it.

/** Draw the canvas of a frame just drawn onto a second one, label it, and hand it to the browser as a download. */
export function savePicture(view, { title, attribution }) {
  const copy = document.createElement("canvas");
  copy.width = view.width;
  copy.height = view.height;
  const context = copy.getContext("2d");
  context.drawImage(view, 0, 0);
  const unit = Math.max(11, Math.round(copy.width / 90));
  context.font = `${unit}px system-ui, sans-serif`;
  context.textBaseline = "bottom";
  const text = [title, attribution].filter(Boolean).join("  ·  ");
  const width = Math.min(context.measureText(text).width + 1.4 * unit, copy.width);
  context.fillStyle = "rgba(255, 255, 255, 0.72)";
  context.fillRect(0, copy.height - 1.9 * unit, width, 1.9 * unit);
  context.fillStyle = "#1c232b";
  context.fillText(text, 0.7 * unit, copy.height - 0.4 * unit, copy.width - 1.4 * unit);
  copy.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${title.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "") || "view"}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }, "image/png");
}
