// The part of the window that the panel leaves free: there the terrain stands, there a comparison has its middle.

export const WHOLE = { width: 1, height: 1 };
/** Least part that counts as room: below it the terrain lies under the panel rather than shrink away. */
const LEAST = 0.3;
const GAP_PX = 8;

/**
 * Room beside a panel at the right, or above one that lies across the window.
 * @param box, cover rectangles of the window and of the panel, or null for a panel that is folded
 */
export function roomBeside(box, cover) {
  if (!cover || !box.width || !box.height) return WHOLE;
  const part = (free, whole) => Math.min(Math.max(free / whole, LEAST), 1);
  if (cover.width > 0.6 * box.width) return { width: 1, height: part(cover.top - box.top, box.height) };
  return { width: part(cover.left - box.left - GAP_PX, box.width), height: 1 };
}

/** Call `changed(room)` now and whenever the panel or the window changes its size. */
export function watchRoom(canvas, panel, changed) {
  const look = () => {
    const [box, cover] = [canvas.getBoundingClientRect(), panel.getBoundingClientRect()];
    const room = roomBeside(box, panel.open ? cover : null);
    const sheet = room.height < 1 ? box.bottom - cover.top : 0;
    document.documentElement.style.setProperty("--sheet", `${Math.round(sheet)}px`);
    panel.classList.toggle("overflowing", panel.scrollHeight > panel.clientHeight + 1);
    changed(room);
  };
  const watcher = new ResizeObserver(look);
  for (const element of [canvas, panel]) watcher.observe(element);
  panel.addEventListener("toggle", look);
  look();
}
