// Which view is shown: "/" chooses a picture, "/jobs/ID" shows one.

import { leaveHome, prepareHome, showHome } from "./home.js";
import { otherTheme } from "./theme.js";
import { sentence } from "./words.js";
import { leaveWork, showJob, showSending, view } from "./work.js";

const message = document.getElementById("message");
let hiding = 0;

function complain(text) {
  message.querySelector("p").textContent = text;
  message.hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => (message.hidden = true), 15000);
}

function go(path) {
  if (path !== location.pathname) history.pushState(null, "", path);
  show();
}

function gone() {
  history.replaceState(null, "", "/");
  show();
}

function fail(error) {
  complain(sentence(error.message));
}

function show() {
  const id = /^\/jobs\/([0-9a-f]+)$/.exec(location.pathname)?.[1];
  leaveHome();
  leaveWork();
  if (!id) {
    view("home");
    showHome((chosen) => go(`/jobs/${chosen}`), complain);
    return;
  }
  showJob(id, gone, fail);
}

function start(file, fields) {
  leaveHome();
  message.hidden = true;
  showSending(file, fields, (job) => go(`/jobs/${job.id}`), (error) => {
    fail(error);
    gone();
  });
  view("job");
  // Cancelling before the server has it leads back to where one came from.
  const cancel = document.getElementById("cancel");
  const stop = cancel.onclick;
  cancel.onclick = () => {
    stop();
    gone();
  };
}

message.querySelector("button").addEventListener("click", () => (message.hidden = true));
document.getElementById("theme").addEventListener("click", otherTheme);
for (const link of document.querySelectorAll('a[href="/"]')) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    go("/");
  });
}
addEventListener("popstate", show);
prepareHome(start, complain);
show();
