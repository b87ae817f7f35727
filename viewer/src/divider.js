// The handle between the two pictures of a swipe, within the room that the panel leaves: by pointer and by arrow keys.

const STEP = 0.02;
const LEAST = 0.03;

export function swipe(handle, canvas, state, room) {
  const put = (split) => state.set({ split: Math.min(Math.max(split, LEAST), 1 - LEAST) });
  handle.addEventListener("pointerdown", (event) => {
    handle.setPointerCapture(event.pointerId);
    event.preventDefault();
    handle.focus();
  });
  handle.addEventListener("pointermove", (event) => {
    if (!handle.hasPointerCapture(event.pointerId)) return;
    const box = canvas.getBoundingClientRect();
    put((event.clientX - box.left) / (box.width * room().width));
  });
  handle.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -STEP, ArrowDown: -STEP, ArrowRight: STEP, ArrowUp: STEP }[event.key];
    if (!step) return;
    put(state.get("split") + step);
    event.preventDefault();
  });
  const show = () => {
    const { compare, split } = state.values;
    handle.hidden = compare === "off";
    handle.classList.toggle("fixed", compare === "side");
    const { width, height } = room();
    handle.style.left = `${100 * width * (compare === "side" ? 0.5 : split)}%`;
    handle.style.setProperty("--middle", `${50 * height}%`);
    handle.setAttribute("aria-valuenow", Math.round(100 * split));
  };
  state.listen(show);
  return show;
}
