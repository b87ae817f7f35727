// Two pictures of one place: a swipe has both under one another, side by side has both beside one another.

export const COMPARE = ["off", "swipe", "side"];

/** {surface: "dem" | "truth", layer} of a word such as "truth:hillshade". */
export function facing(word) {
  const [surface, layer] = word.split(":");
  return { surface, layer };
}

/**
 * Panes of a picture of 1 x 1: `x`, `width` of the view, `free` of it for the terrain, `from`, `to` of what is drawn.
 * @param values state; @param room part of the width that the panel leaves free
 */
export function panes({ compare, split, layer, other }, room = 1) {
  const left = { surface: "dem", layer, x: 0, width: 1, free: room, from: 0, to: 1 };
  const border = room * (compare === "side" ? 0.5 : split);
  if (compare === "swipe") return [{ ...left, to: border }, { ...left, ...facing(other), from: border }];
  if (compare === "side") {
    const half = { ...left, width: border, free: border, to: border };
    return [half, { ...half, ...facing(other), x: border, width: 1 - border, from: border, to: 1 }];
  }
  return [left];
}

export function paneAt(list, part) {
  return list.find((pane) => part >= pane.from && part < pane.to) ?? list[list.length - 1];
}
