// Elements of a form tied to names of the state.

/** One number of the state on a slider and in a field; what is no number in range leaves the state alone. */
export function number(state, name, slider, field, [least, most], { tidy = (v) => v, show = short } = {}) {
  const take = (text) => {
    const value = Number(text);
    if (text.trim() === "" || !Number.isFinite(value)) return;
    const tidied = tidy(value);
    if (tidied >= least && tidied <= most) state.set({ [name]: tidied });
  };
  for (const element of [slider, field]) element?.addEventListener("input", () => take(element.value));
  field?.addEventListener("change", () => { field.value = show(state.get(name)); });
  state.listen((values, changed) => {
    if (!changed.includes(name) || values[name] === null) return;
    if (slider) {
      slider.value = values[name];
      slider.style.setProperty("--part", (slider.value - slider.min) / (slider.max - slider.min));
    }
    if (field && document.activeElement !== field) field.value = show(values[name]);
  });
}

export function toggle(state, name, box) {
  box.addEventListener("change", () => state.set({ [name]: box.checked }));
  state.listen((values) => { box.checked = values[name]; });
}

/** Radio buttons below `box` whose values are those of the state. */
export function choice(state, name, box) {
  for (const input of box.querySelectorAll("input")) {
    input.addEventListener("change", () => state.set({ [name]: input.value }));
    state.listen((values) => { input.checked = values[name] === input.value; });
  }
}

function short(value) {
  return String(Number(value.toPrecision(Math.abs(value) >= 1000 ? 6 : 4)));
}
