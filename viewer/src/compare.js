// Two pictures of one place: a swipe has both under one another, side by side has both beside one another.

export const COMPARE = ["off", "swipe", "side"];

/** {surface: "dem" | "truth", layer} of a word such as "truth:hillshade". */
export function facing(word) {
  const [surface, layer] = word.split(":");
  return { surface, layer };
}

/**
 * Panes of a picture of 1 x 1: `x`, `width` of the view, `from`, `to` of what is drawn of it.
 * @param values state
 */
export function panes({ compare, split, layer, other }) {
  const left = { surface: "dem", layer, x: 0, width: 1, from: 0, to: 1 };
  if (compare === "swipe") return [{ ...left, to: split }, { ...left, ...facing(other), from: split }];
  if (compare === "side") {
    return [{ ...left, width: 0.5, to: 0.5 }, { ...facing(other), x: 0.5, width: 0.5, from: 0.5, to: 1 }];
  }
  return [left];
}

export function paneAt(list, part) {
  return list.find((pane) => part >= pane.from && part < pane.to) ?? list[list.length - 1];
}
