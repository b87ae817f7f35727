// Light or dark: what the system says, unless somebody chose; the choice is kept in this browser.

const system = matchMedia("(prefers-color-scheme: dark)");
const KEY = "im2dem-theme";
const listeners = [];

function chosen() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null; // storage is switched off
  }
}

/** "dark" or "light". */
export const theme = () => chosen() ?? (system.matches ? "dark" : "light");

function apply() {
  document.documentElement.dataset.theme = theme();
  for (const listener of listeners) listener(theme());
}

/** Calls `listener(theme)` now and whenever it changes. */
export function followTheme(listener) {
  listeners.push(listener);
  listener(theme());
}

/** The other one of what is seen now; what the system says is not kept. */
export function otherTheme() {
  const wanted = theme() === "dark" ? "light" : "dark";
  try {
    if (wanted === (system.matches ? "dark" : "light")) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, wanted);
  } catch {
    // Without storage the system's choice stays.
  }
  apply();
}

system.addEventListener("change", apply);
apply();
