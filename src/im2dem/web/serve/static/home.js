// The first view: choose a picture, tell what is known, and what is on the server already.

import * as api from "./api.js";
import { ago, state, takes } from "./words.js";

const $ = (id) => document.getElementById(id);
const EVERY_MS = 4000;
const MOST = 50;
let timer = 0;
let limits = null;

/** Wires the view up; `start(file, fields)` is called with a picture. */
export function prepareHome(start, complain) {
  const take = (file) => {
    if (!file) return;
    if (!$("fields").reportValidity()) return;
    if (limits && file.size > limits.upload_bytes) complain(`${file.name} is too large. ${takes(limits)}`);
    else start(file, fields());
  };
  $("file").addEventListener("change", (event) => {
    take(event.target.files[0]);
    event.target.value = "";
  });
  $("demo").addEventListener("click", async () => {
    const answer = await fetch("/demo.tif").catch(() => null);
    if (answer?.ok) start(new File([await answer.blob()], "tsukuba.tif", { type: "image/tiff" }), { sun: fields().sun });
    else complain("The demo scene is missing from this installation.");
  });
  acceptDrops(take, complain);
  api.info().then((info) => {
    limits = info.limits;
    $("takes").textContent = takes(limits);
    $("file").accept = info.endings.join(",");
  }, (error) => complain(error.message));
}

function acceptDrops(take, complain) {
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  let depth = 0; // every element on the way tells of its own entering and leaving
  const veil = (shown) => ($("veil").hidden = !shown || $("home").hidden);
  addEventListener("dragenter", (event) => hasFiles(event) && veil(++depth > 0));
  addEventListener("dragleave", (event) => hasFiles(event) && veil((depth = Math.max(0, depth - 1)) > 0));
  addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault(); // or the browser would leave for the picture
    veil((depth = 0) > 0);
    if ($("home").hidden) return;
    if (event.dataTransfer.files.length > 1) complain("One picture at a time, please.");
    else take(event.dataTransfer.files[0]);
  });
}

function fields() {
  const of = (id) => $(id).value.trim();
  const sun = of("sun-azimuth") && of("sun-height") ? `${of("sun-azimuth")},${of("sun-height")}` : "";
  return { sun, date: sun ? "" : of("date"), gsd: of("gsd"), bands: of("bands") };
}

/** Show what is on the server, and keep it current; `open(id)` when one is chosen. */
export function showHome(open, complain) {
  document.title = "im2dem";
  const refresh = async () => {
    try {
      list(await api.jobs(), open, refresh, complain);
    } catch {
      // Said when somebody asks for something; the list alone is no reason to complain.
    }
  };
  refresh();
  timer = setInterval(refresh, EVERY_MS);
}

export function leaveHome() {
  clearInterval(timer);
}

function list(jobs, open, refresh, complain) {
  $("recent").hidden = jobs.length === 0;
  const held = document.activeElement?.closest?.("#list li")?.dataset;
  const heldButton = document.activeElement?.tagName === "BUTTON";
  $("list").replaceChildren(...jobs.slice(0, MOST).map((job) => row(job, open, refresh, complain)));
  const again = held && $("list").querySelector(`[data-id="${held.id}"] ${heldButton ? "button" : "a"}`);
  again?.focus({ preventScroll: true });
}

function row(job, open, refresh, complain) {
  const make = (tag, properties, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const thumb = job.links.preview
    ? make("img", { className: "thumb", src: job.links.preview, alt: "", loading: "lazy" })
    : make("span", { className: "thumb" });
  const link = make("a", { href: `/jobs/${job.id}`, textContent: job.name });
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open(job.id);
  });
  const remove = make("button", { type: "button", textContent: "×", title: "Delete" });
  remove.setAttribute("aria-label", `Delete ${job.name}`);
  remove.addEventListener("click", () => api.remove(job.id).then(refresh, (error) => complain(error.message)));
  const item = make("li", {}, thumb, make("div", {}, link, make("p", { className: "soft", textContent: ago(job.created) })),
    make("span", { className: `state ${job.state}`, textContent: state(job) }), remove);
  item.dataset.id = job.id;
  return item;
}
