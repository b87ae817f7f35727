// The keyboard: one list for what the keys do and for the help that names them.

/** [keys, words]; the first of each line's keys may stand for several. */
const gestures = (layers) => [
  ["Drag", "turn"], ["Right drag, two fingers", "move"], ["Wheel, pinch", "zoom"],
  ["Arrows", "turn and tilt"], ["Shift + arrows", "move"], ["+  −", "zoom"],
  ["R", "whole view"], ["T", "from above"], ["N", "north up"], [`1 to ${layers}`, "surface"],
  ["C", "contours"], ["W", "water"], ["S", "cast shadows"], ["V", "compare: off, swipe, side by side"],
  ["H", "height in the middle"], ["M", "measure a line"], ["A", "measure an area"],
  ["Enter, Backspace, Esc", "measuring: set, take back, end"],
  ["K", "add a key frame"], ["L", "fly through key frames"], ["O", "turntable"],
  ["P", "save a picture"], ["D", "dark or light"], ["F", "full screen"], ["?", "this help"],
];

export function fillHelp(list, layers) {
  for (const [keys, words] of gestures(layers)) {
    list.append(Object.assign(document.createElement("dt"), { textContent: keys }),
      Object.assign(document.createElement("dd"), { textContent: words }));
  }
}

/** Calls the action of a key; `actions` by key in lower case, each may return false for "not mine". */
export function listenKeys(actions, fallback) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.getElementById("help").open) return;
    const { target, key } = event;
    if (target.matches("input[type=date], select")) return;
    if (target.matches("input[type=number], input[type=range], input[type=radio]") && /^(Arrow|[-+0-9=.]|Backspace|Enter)/.test(key)) return;
    // Enter and the space bar press the button that has the focus.
    if (target.matches("button, summary, input[type=checkbox]") && /^(Enter| )$/.test(key)) return;
    if (target.getAttribute("role") === "slider" && key.startsWith("Arrow")) return;
    const action = actions[key.length === 1 ? key.toLowerCase() : key];
    if (action ? action(event) === false : fallback(event) === false) return;
    event.preventDefault();
  });
}
