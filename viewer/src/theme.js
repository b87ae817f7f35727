// Light or dark: what the system says, unless somebody chose.

export const THEMES = ["auto", "light", "dark"];

/** Calls `changed(dark)` now and whenever it changes. */
export function followTheme(state, changed) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const theme = state.get("theme");
    const dark = theme === "auto" ? system.matches : theme === "dark";
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    changed(dark);
  };
  system.addEventListener("change", apply);
  state.listen((values, names) => { if (names.includes("theme")) apply(); });
}

/** The other one of what is seen now; back to "auto" when that is what the system says. */
export function otherTheme() {
  const dark = document.documentElement.dataset.theme !== "dark";
  return dark === matchMedia("(prefers-color-scheme: dark)").matches ? "auto" : dark ? "dark" : "light";
}
