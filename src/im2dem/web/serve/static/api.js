// Requests to the server, as promises; every failure is an Error with one sentence for people.

async function refusal(answer) {
  if (answer.status === 401) location.assign("/login");
  try {
    return new Error((await answer.json()).detail);
  } catch {
    return new Error(`the server answered ${answer.status}; try again`);
  }
}

async function ask(path, options) {
  const answer = await fetch(path, options).catch(() => {
    throw new Error("the server does not answer; is it still running?");
  });
  if (!answer.ok) throw await refusal(answer);
  return answer.status === 204 ? null : answer.json();
}

export const info = () => ask("/api/info");
export const jobs = async () => (await ask("/api/jobs")).jobs;
export const job = (id) => ask(`/api/jobs/${id}`);
export const remove = (id) => ask(`/api/jobs/${id}`, { method: "DELETE" });

/** Send a file; `onPart` hears which part of it has left. Returns {done: promise of the job, stop()}. */
export function send(file, fields, onPart) {
  const request = new XMLHttpRequest(); // fetch does not tell how much of a body has left
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) if (value) form.append(name, value);
  form.append("file", file, file.name);
  const done = new Promise((resolve, reject) => {
    request.upload.onprogress = (event) => event.lengthComputable && onPart(event.loaded / event.total);
    request.onload = async () => {
      if (request.status === 201) resolve(JSON.parse(request.responseText));
      else reject(await refusal(new Response(request.responseText, { status: request.status })));
    };
    request.onerror = () => reject(new Error("the picture did not arrive; is the server still running?"));
    request.onabort = () => reject(new DOMException("", "AbortError"));
    request.open("POST", "/api/jobs");
    request.send(form);
  });
  return { done, stop: () => request.abort() };
}

/** Hear of every change of a job until nothing can follow; `changed(null)` when it is gone. Returns a function that ends it. */
export function follow(id, changed) {
  const source = new EventSource(`/api/jobs/${id}/events`);
  source.addEventListener("job", (event) => {
    const now = JSON.parse(event.data);
    if (now.state === "done" || now.state === "failed") source.close();
    changed(now);
  });
  source.addEventListener("gone", () => {
    source.close();
    changed(null);
  });
  // A server that restarts is found again by itself; one that says no (404, 401) is asked why.
  source.onerror = async () => {
    if (source.readyState !== EventSource.CLOSED) return;
    try {
      changed(await job(id));
    } catch {
      changed(null);
    }
  };
  return () => source.close();
}
