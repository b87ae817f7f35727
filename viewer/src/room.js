// The part of the window that the panel leaves free: there the terrain stands, there a comparison has its middle.

export const WHOLE = { width: 1, height: 1 };
/** Least part that counts as room: below it the terrain lies under the panel rather than shrink away. */
const LEAST = 0.3;
const GAP_PX = 8;
/** Where the style sheet lays the page out for a phone. */
const PHONE = "(max-width: 640px)";


const liesAcross = (box, cover) => cover !== null && cover.width > 0.6 * box.width;

/**
 * Room beside a panel at the right, or above one that lies across the window.
 * @param box, cover rectangles of the window and of the panel, or null for a panel that is folded
 * @param words rectangles {above, below} of what is written over the picture from edge to edge; null: it stands aside
 */
export function roomBeside(box, cover, words = null) {
  if (!box.width || !box.height) return WHOLE;
  const part = (free, whole) => Math.min(Math.max(free / whole, LEAST), 1);
  // As much is left out below as the title takes above: then the middle of the room is the middle between the two.
  if (words) return { width: 1, height: part(words.above.bottom + words.below.top - 2 * box.top, box.height) };
  if (!cover) return WHOLE;
  if (liesAcross(box, cover)) return { width: 1, height: part(cover.top - box.top, box.height) };
  return { width: part(cover.left - box.left - GAP_PX, box.width), height: 1 };
}

/**
 * Call `changed(room)` now and whenever the window, the panel or the profile changes its size.
 * @param above the title, over the picture; `below()`: the first element at its foot, which a phone has no room beside
 */
export function watchRoom(canvas, [panel, profile], { above, below }, changed) {
  const phone = matchMedia(PHONE);
  const look = () => {
    const box = canvas.getBoundingClientRect();
    const cover = panel.open ? panel.getBoundingClientRect() : null;
    const sheet = liesAcross(box, cover) ? box.bottom - cover.top : 0;
    // Before the words are looked at: they stand on the sheet.
    document.documentElement.style.setProperty("--sheet", `${Math.round(sheet)}px`);
    panel.classList.toggle("overflowing", panel.scrollHeight > panel.clientHeight + 1);
    const words = phone.matches ? { above: above.getBoundingClientRect(), below: below().getBoundingClientRect() } : null;
    changed(roomBeside(box, cover, words));
  };
  const watcher = new ResizeObserver(look);
  for (const element of [canvas, panel, profile]) watcher.observe(element);
  panel.addEventListener("toggle", look);
  look();
}
