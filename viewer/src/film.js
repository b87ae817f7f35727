// Films: key frames and turntable played, and recorded as WebM (in real time) or GIF (frame by frame).

import { GIFEncoder } from "gifenc";
import { download } from "./download.js";
import { commonPalette, indexed } from "./gif.js";
import { LEG_S, TURN_S, pose, turned } from "./flight.js";
import { WHOLE } from "./room.js";
import { label, labelled } from "./screenshot.js";

const GIF_WIDTH = 480;
const GIF_TURN_FRAMES = 48;
const GIF_FRAMES_S = 8;
const GIF_SAMPLES = 8;
const WEBM_BITS = 8e6;

export class Film {
  /** @param stage {eye, scene, payload, canvas}; @param ask asks for a drawing; @param frames first key frames */
  constructor(root, stage, ask, changed, frames) {
    Object.assign(this, stage, { ask, changed, frames, playing: null, busy: false, copy: null });
    this.at = (id) => root.querySelector(`#${id}`);
    const on = (id, action) => this.at(id).addEventListener("click", action);
    on("frame-add", () => this.addFrame());
    on("frame-clear", () => this.clearFrames());
    on("fly", () => this.toggle("fly"));
    on("turntable", () => this.toggle("turn"));
    on("gif", () => this.gif());
    on("webm", () => this.webm());
    // A hand on the picture stops what moves.
    this.canvas.addEventListener("pointerdown", () => this.stop());
    this.at("webm").hidden = !(window.MediaRecorder && this.canvas.captureStream);
    this.say();
  }

  addFrame() {
    this.frames.push(this.eye.pose);
    this.say();
    this.changed();
  }

  clearFrames() {
    this.stop();
    this.frames.length = 0;
    this.say();
    this.changed();
  }

  toggle(kind) {
    if (this.playing) return this.stop();
    if (kind === "fly" && this.frames.length < 2) return;
    this.playing = { kind, from: performance.now(), first: this.eye.pose };
    this.say();
    this.ask(true);
  }

  stop() {
    if (!this.playing) return;
    const { done } = this.playing;
    this.playing = null;
    this.say();
    this.changed();
    this.ask();
    done?.();
  }

  /** Seconds that a film takes. */
  length(kind) {
    return kind === "turn" ? TURN_S : LEG_S * (this.frames.length - 1);
  }

  poseAt(kind, part, first) {
    return kind === "turn" ? turned(first, 360 * part) : pose(this.frames, part);
  }

  /** Set the eye for this moment; true while the film goes on. */
  step() {
    if (!this.playing || this.busy) return false;
    const { kind, from, first, once } = this.playing;
    const part = (performance.now() - from) / 1000 / this.length(kind);
    // The turntable goes round and round until somebody stops it.
    if ((kind === "fly" || once) && part >= 1) {
      this.eye.pose = this.poseAt(kind, 1, first);
      this.stop();
      return false;
    }
    this.eye.pose = this.poseAt(kind, part, first);
    return true;
  }

  /** What a recording shows: the key frames where there are two, else one turn. */
  get kind() {
    return this.frames.length > 1 ? "fly" : "turn";
  }

  async gif() {
    if (this.busy) return;
    this.stop();
    this.busy = true;
    const { kind, eye, canvas, payload } = this;
    const first = eye.pose;
    const count = kind === "turn" ? GIF_TURN_FRAMES : Math.round(this.length(kind) * GIF_FRAMES_S);
    const picture = async (k, words) => {
      // A turn ends one frame before it begins again.
      eye.pose = this.poseAt(kind, kind === "turn" ? k / count : k / (count - 1), first);
      let small;
      eye.wholly(() => { small = labelled(canvas, payload, Math.min(GIF_WIDTH, canvas.width)); });
      this.tell(words);
      await new Promise((resolve) => setTimeout(resolve, 0));
      return small.context.getImageData(0, 0, small.canvas.width, small.canvas.height);
    };
    const samples = [];
    for (let k = 0; k < GIF_SAMPLES; k++) {
      samples.push((await picture(Math.floor((k * count) / GIF_SAMPLES), "GIF: choosing colours")).data);
    }
    const palette = commonPalette(samples);
    const encoder = GIFEncoder();
    for (let k = 0; k < count; k++) {
      const { data, width, height } = await picture(k, `GIF: picture ${k + 1} of ${count}`);
      // Only the first picture carries the colours: they hold for all.
      encoder.writeFrame(indexed(data, width, palette), width, height,
        { ...(k ? {} : { palette }), delay: (1000 * this.length(kind)) / count });
    }
    encoder.finish();
    eye.pose = first;
    this.busy = false;
    this.say();
    this.ask();
    download(new Blob([encoder.bytes()], { type: "image/gif" }), payload.title, ".gif");
  }

  /** True while a recording has the whole picture; the room is then what it goes back to. */
  keeps(room) {
    if (this.recorder) this.after = room;
    return Boolean(this.recorder);
  }

  /** Called after each drawing: a recording has it too. */
  follow() {
    if (this.copy) label(this.copy, this.canvas, this.payload);
  }

  async webm() {
    if (this.busy || this.recorder) return this.recorder?.stop();
    this.stop();
    const type = ["video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm", "video/mp4"].find((t) => MediaRecorder.isTypeSupported(t));
    if (!type) return this.tell("This browser cannot record films.");
    const { kind, scene } = this;
    // Recorded is a copy: it has its label, and one size, that of what is drawn while it moves.
    const copy = document.createElement("canvas");
    for (const side of ["width", "height"]) copy[side] = (scene[side] * scene.ratio) / (scene.software ? 2 : 1) & ~1;
    const recorder = (this.recorder = new MediaRecorder(copy.captureStream(30), { mimeType: type, videoBitsPerSecond: WEBM_BITS }));
    const pieces = [];
    this.after = scene.room;
    this.copy = copy;
    scene.setRoom(WHOLE);
    recorder.ondataavailable = ({ data }) => { if (data.size) pieces.push(data); };
    recorder.onstop = () => {
      this.recorder = this.copy = null;
      this.eye.across(() => scene.setRoom(this.after));
      this.stop();
      download(new Blob(pieces, { type }), this.payload.title, type.startsWith("video/mp4") ? ".mp4" : ".webm");
      this.say();
    };
    recorder.start();
    this.playing = { kind, from: performance.now(), first: this.eye.pose, once: true, done: () => recorder.state !== "inactive" && recorder.stop() };
    this.say();
    this.tell("Recording; press again to end.");
    this.ask(true);
  }

  tell(text) {
    this.at("film-says").textContent = text;
  }

  say() {
    const n = this.frames.length;
    this.at("fly").disabled = n < 2;
    this.at("frame-clear").disabled = !n;
    this.at("fly").textContent = this.playing?.kind === "fly" ? "Stop" : "Fly";
    this.at("turntable").textContent = this.playing?.kind === "turn" ? "Stop" : "Turn";
    this.at("webm").setAttribute("aria-pressed", Boolean(this.recorder));
    if (!this.recorder && !this.busy) {
      this.tell(n ? `${n} key frame${n > 1 ? "s" : ""}${n < 2 ? ": one more makes a flight" : `, ${this.length("fly")} s`}`
        : "Key frames make a flight; without them a turn is recorded.");
    }
  }
}
