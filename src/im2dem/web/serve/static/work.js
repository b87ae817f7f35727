// The second view: a picture on its way; and the third: what came out.

import * as api from "./api.js";
import { followTheme, theme } from "./theme.js";
import { STEPS, detail, facts, resultFacts, says, sentence, size } from "./words.js";

const $ = (id) => document.getElementById(id);
const TICK_MS = 1000;
let end = () => {};
let ticking = 0;
let before = "";

const names = Object.keys(STEPS);
$("steps").append(...names.map((name) => {
  const item = document.createElement("li");
  item.dataset.step = name;
  item.append(STEPS[name], document.createElement("span"));
  return item;
}));

/** Send a picture and show how it goes; `arrived(job)` when the server has it, `failed(error)` when not. */
export function showSending(file, fields, arrived, failed) {
  leaveWork();
  const began = Date.now();
  still(false, false);
  $("job-name").textContent = file.name;
  $("job-facts").textContent = size(file.size);
  $("job-says").textContent = "";
  notes($("job-notes"), []);
  showPreview(/^image\/(png|jpeg|webp)$/.test(file.type) ? URL.createObjectURL(file) : null);
  steps("upload", "");
  bar(0);
  document.title = `${file.name} · im2dem`;
  const sending = api.send(file, fields, (part) => {
    steps("upload", `${Math.round(part * 100)} %`);
    bar(part * 0.05);
    if (part >= 1 && Date.now() - began > TICK_MS) $("job-says").textContent = "The server looks at it.";
  });
  cancelled(() => sending.stop());
  end = () => sending.stop();
  sending.done.then((job) => { end = () => {}; arrived(job); }, (error) => { if (error.name !== "AbortError") failed(error); });
}

/** Show a job until it has ended; `gone()` when it was deleted, `fail(error)`. */
export function showJob(id, gone, fail) {
  leaveWork();
  let last = null;
  const draw = () => last && drawJob(last);
  const unfollow = api.follow(id, (job) => {
    if (job === null) return gone();
    last = job;
    if (job.state === "done") showResult(job);
    else draw();
  });
  ticking = setInterval(draw, TICK_MS);
  end = unfollow;
  cancelled(() => api.remove(id).then(gone, fail));
  $("delete").onclick = () => api.remove(id).then(gone, fail);
}

export function leaveWork() {
  end();
  end = () => {};
  clearInterval(ticking);
  $("view").removeAttribute("src");
  showPreview(null);
  document.body.classList.remove("shows-result");
}

function cancelled(stop) {
  $("cancel").hidden = false;
  $("cancel").onclick = stop;
}

function drawJob(job) {
  if ($("job").hidden) view("job");
  const failed = job.state === "failed";
  document.title = `${failed ? "Failed" : `${Math.round(job.progress * 100)} %`} · ${job.name} · im2dem`;
  still(failed, failed);
  $("job-name").textContent = job.name;
  $("job-facts").textContent = facts(job);
  if (job.links.preview && $("preview").dataset.of !== job.id) {
    showPreview(job.links.preview);
    $("preview").dataset.of = job.id;
  }
  steps(failed ? (job.picture ? "predict" : "check") : job.stage, detail(job.stage, job.stage_done, job.stage_total), failed);
  bar(0.05 + 0.95 * job.progress);
  const text = says(job, job.started ? Math.max(0, (Date.now() - Date.parse(job.started)) / 1000) : 0);
  if ($("job-says").textContent !== text) $("job-says").textContent = text;
  notes($("job-notes"), job.notes);
  $("cancel").textContent = failed ? "Delete" : "Cancel";
}

function showResult(job) {
  clearInterval(ticking);
  document.title = `${job.name} · im2dem`;
  $("result-name").textContent = job.name;
  $("result-facts").textContent = $("result-facts").title = resultFacts(job);
  notes($("result-notes").querySelector("ul"), job.notes);
  $("result-notes").hidden = job.notes.length === 0;
  $("result-notes").querySelector("summary").textContent = job.notes.length === 1 ? "1 note" : `${job.notes.length} notes`;
  for (const [id, link] of [["save-dem", job.links.dem], ["save-page", job.links.page], ["save-json", job.links.summary]]) $(id).href = link;
  document.body.classList.add("shows-result");
  view("result");
  $("view").src = `${job.links.view}#theme=${theme()}`;
}

// The 3D page keeps its own state in its own address: it hears of the theme when it is loaded anew.
let shown = theme();
followTheme((now) => {
  if (now === shown) return;
  shown = now;
  const source = $("view").getAttribute("src");
  if (source) $("view").src = source.replace(/theme=\w+/, `theme=${now}`);
});

/** Show one of the views; the others rest. The focus follows, but for the first. */
export function view(name) {
  for (const id of ["home", "job", "result"]) $(id).hidden = id !== name;
  if (before) $(name).focus({ preventScroll: true });
  before = name;
}

function still(rests, failed) {
  $("job").classList.toggle("still", rests);
  $("job").classList.toggle("failed", failed);
}

function showPreview(source) {
  const image = $("preview");
  if (image.src.startsWith("blob:")) URL.revokeObjectURL(image.src);
  delete image.dataset.of;
  image.hidden = !source;
  if (source) image.src = source;
  else image.removeAttribute("src");
}

function steps(now, text, broken = false) {
  const at = now === null ? 1 : names.indexOf(now);
  for (const [i, item] of [...$("steps").children].entries()) {
    item.className = i < at ? "past" : i > at ? "" : broken ? "broken" : now === null ? "" : "now";
    item.querySelector("span").textContent = i === at && !broken ? text : "";
    if (i === at) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  }
}

function bar(part) {
  $("bar").setAttribute("aria-valuenow", String(Math.round(part * 100)));
  $("bar").firstElementChild.style.setProperty("--part", part);
}

function notes(list, texts) {
  if (list.children.length === texts.length) return;
  list.replaceChildren(...texts.map((text) => Object.assign(document.createElement("li"), { textContent: sentence(text) })));
}
