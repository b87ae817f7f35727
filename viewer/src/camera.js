// Where the eye is: mouse and touch by three's OrbitControls, keys by us, and the views one jumps to.

import { MathUtils, Raycaster, Spherical, Vector2, Vector3 } from "three";
import { WHOLE } from "./room.js";
import { FOOT } from "./scene.js";
import { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";

/** Tilt of the first view, degrees from straight above. */
const OBLIQUE = 54;
/** The same in upright room, which a steeper view fills better: the narrower, the steeper, down to STEEPEST. */
const STEEP = 40;
const STEEPEST = 22;
const NARROWER = 34;
const UPRIGHT = 1;
/** Part of the picture that the block fills, the extra room above and below, and how far it stands below the middle. */
const FILL = 0.86;
const FILL_UPRIGHT = 0.93;
const ROOM = 1.08;
const CENTRE = 0.02;
const STEP_DEG = 4;

export class Eye {
  constructor(scene, canvas, changed) {
    this.scene = scene;
    this.camera = scene.camera;
    this.canvas = canvas;
    const controls = (this.controls = new OrbitControls(scene.camera, canvas));
    controls.enableDamping = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    controls.dampingFactor = 0.14;
    controls.screenSpacePanning = false;
    controls.zoomToCursor = true;
    controls.maxPolarAngle = MathUtils.degToRad(88);
    controls.minDistance = 0.02;
    controls.maxDistance = 8;
    controls.addEventListener("change", () => {
      this.clampTarget();
      changed();
    });
  }

  /** Keeps the point one turns around on the block: nobody gets lost in the sky. */
  clampTarget() {
    const { shown: bounds, extent } = this.scene.terrain;
    const target = this.controls.target;
    target.x = MathUtils.clamp(target.x, bounds.minX / extent, bounds.maxX / extent);
    target.z = MathUtils.clamp(target.z, bounds.minZ / extent, bounds.maxZ / extent);
    target.y = MathUtils.clamp(target.y, -0.05, Math.max(this.scene.top, 0.05));
  }

  /** Look at the whole block from `azimuthDeg` (where the eye looks to, clockwise from north), `tiltDeg` from above. */
  frame(azimuthDeg = 0, tilt = null) {
    this.scene.aim();
    const upright = this.camera.aspect < UPRIGHT;
    const steep = Math.max(STEEP - NARROWER * (UPRIGHT - this.camera.aspect), STEEPEST);
    const tiltDeg = tilt ?? (upright ? steep : OBLIQUE);
    const direction = new Vector3().setFromSpherical(
      new Spherical(1, MathUtils.degToRad(Math.max(tiltDeg, 0.01)), MathUtils.degToRad(-azimuthDeg)));
    const target = this.controls.target.set(0, 0.3 * this.scene.top, 0);
    let distance = 3;
    // Each round brings the block's outline to the middle of the free part of the picture and fills it.
    for (let round = 0; round < 6; round++) {
      this.camera.position.copy(direction).multiplyScalar(distance).add(target);
      this.camera.lookAt(target);
      this.camera.updateMatrixWorld();
      const [left, right, bottom, top] = this.outline();
      const half = distance * Math.tan(MathUtils.degToRad(this.camera.fov / 2));
      const ahead = new Vector3(-direction.x, 0, -direction.z).normalize();
      const aside = new Vector3(-ahead.z, 0, ahead.x);
      target.addScaledVector(aside, ((left + right) / 2) * half * this.camera.aspect);
      target.addScaledVector(ahead, (((bottom + top) / 2 + CENTRE) * half) / Math.max(direction.y, 0.2));
      distance *= Math.max((right - left) / 2, ((top - bottom) / 2) * ROOM) / (upright ? FILL_UPRIGHT : FILL);
    }
    this.camera.position.copy(direction).multiplyScalar(distance).add(target);
    this.controls.update();
    this.framed = { azimuthDeg, tilt, eye: this.camera.position.clone() };
  }

  /** Frame the block anew for another room, where nobody has moved since; true when that was so. */
  refit() {
    const { framed } = this;
    if (!framed || framed.eye.distanceTo(this.camera.position) > 1e-6) return false;
    this.frame(framed.azimuthDeg, framed.tilt);
    return true;
  }

  /** Do what changes the room: a view that nobody has moved is framed anew, any other shows as much ground as before. */
  across(change) {
    const before = Math.min(this.camera.aspect, 1);
    change();
    if (!this.framed || this.refit()) return;
    this.turn(0, 0, before / Math.min(this.camera.aspect, 1));
  }

  /** [left, right, bottom, top] of the block in the room of the first pane, -1 to 1. */
  outline() {
    const { shown: b, extent } = this.scene.terrain;
    const { fullWidth, fullHeight, width, height } = this.camera.view;
    this.fitPlanes();
    const points = [];
    for (const x of [b.minX, b.maxX]) for (const z of [b.minZ, b.maxZ]) for (const y of [-FOOT, this.scene.top]) {
      points.push(new Vector3(x / extent, y, z / extent).project(this.camera));
    }
    const xs = points.map((p) => ((p.x + 1) * width) / fullWidth - 1);
    const ys = points.map((p) => 1 - ((1 - p.y) * height) / fullHeight);
    return [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  }

  /** Turn around the target (degrees), or with `factor` come closer. */
  turn(azimuthDeg, tiltDeg, factor = 1) {
    const offset = this.camera.position.clone().sub(this.controls.target);
    const s = new Spherical().setFromVector3(offset);
    s.theta += MathUtils.degToRad(azimuthDeg);
    s.phi = MathUtils.clamp(s.phi + MathUtils.degToRad(tiltDeg), 0.001, this.controls.maxPolarAngle);
    s.radius = MathUtils.clamp(s.radius * factor, this.controls.minDistance, this.controls.maxDistance);
    this.camera.position.setFromSpherical(s).add(this.controls.target);
    this.controls.update();
  }

  /** Move over the ground by parts of the distance: to the right, and ahead. */
  slide(right, ahead) {
    const reach = this.camera.position.distanceTo(this.controls.target);
    const heading = MathUtils.degToRad(this.heading);
    const x = reach * (right * Math.cos(heading) + ahead * Math.sin(heading));
    const z = reach * (right * Math.sin(heading) - ahead * Math.cos(heading));
    this.controls.target.add(new Vector3(x, 0, z));
    this.camera.position.add(new Vector3(x, 0, z));
    this.controls.update();
  }

  faceNorth() {
    this.turn(this.heading, 0);
  }

  /** Direction one looks to, degrees clockwise from north. */
  get heading() {
    return -MathUtils.radToDeg(this.controls.getAzimuthalAngle());
  }

  /** Ground length of one screen pixel at the point one turns around. */
  get groundPerPixel() {
    const distance = this.camera.position.distanceTo(this.controls.target);
    const height = 2 * distance * Math.tan(MathUtils.degToRad(this.camera.fov / 2));
    return (height * this.scene.terrain.extent) / (this.canvas.clientHeight * this.scene.room.height);
  }

  /** Draw for the whole picture, as if there were no panel, and do something with that; `fit` frames anew for it. */
  wholly(action, fit = false) {
    const { scene, framed, pose } = this;
    const { room } = scene;
    scene.setRoom(WHOLE);
    if (fit) this.refit();
    this.fitPlanes();
    scene.draw();
    action();
    scene.setRoom(room);
    this.pose = pose;
    this.framed = framed;
  }

  /** Near and far planes around the block, so that the depth buffer is spent on it. */
  fitPlanes() {
    const distance = this.camera.position.length();
    this.camera.near = Math.max(0.002, (distance - 1.6) * 0.5);
    this.camera.far = distance + 2.5 + this.scene.top;
    this.camera.updateProjectionMatrix();
  }

  /** Where the pane of the picture lies that holds client position `x`: {left, top, width, height, surface, layer}. */
  pane(x) {
    const box = this.canvas.getBoundingClientRect();
    const pane = this.scene.paneAt((x - box.left) / box.width);
    return { ...pane, left: box.left + pane.x * box.width, top: box.top, width: pane.width * box.width, height: box.height };
  }

  /** Where the eye is and what it looks at, in scene units. */
  get pose() {
    return { eye: this.camera.position.toArray(), target: this.controls.target.toArray() };
  }

  set pose({ eye, target }) {
    this.camera.position.fromArray(eye);
    this.controls.target.fromArray(target);
    this.controls.update();
  }

  /** Ray through a point of the canvas, in ground units: {origin, direction}. */
  ray(x, y) {
    const whole = this.canvas.getBoundingClientRect();
    const box = this.pane(x);
    const point = new Vector2(((x - box.left) / box.width) * 2 - 1, 1 - ((y - box.top) / box.height) * 2);
    const caster = new Raycaster();
    this.scene.aim(this.scene.paneAt((x - whole.left) / whole.width));
    this.camera.updateMatrixWorld();
    caster.setFromCamera(point, this.camera);
    const { extent } = this.scene.terrain;
    return { origin: caster.ray.origin.multiplyScalar(extent).toArray(), direction: caster.ray.direction.toArray() };
  }

  /** Place on the screen (client pixels) of a pixel of the raster. */
  project(row, col, height = this.scene.terrain.heightAt(row, col), pane = 0) {
    const { terrain } = this.scene;
    const [x, z] = terrain.ground(col, row);
    const y = (height - terrain.low) * this.scene.common.lift.value;
    const whole = this.canvas.getBoundingClientRect();
    const box = this.pane(whole.left + pane * whole.width);
    this.scene.aim(this.scene.paneAt(pane));
    this.camera.updateMatrixWorld();
    const p = new Vector3(x / terrain.extent, y, z / terrain.extent).project(this.camera);
    return { x: box.left + ((p.x + 1) / 2) * box.width, y: box.top + ((1 - p.y) / 2) * box.height };
  }

  /** True when the key was one of ours. */
  key(event) {
    const far = event.shiftKey;
    switch (event.key) {
      case "ArrowLeft": return far ? this.slide(-0.06, 0) : this.turn(-STEP_DEG, 0), true;
      case "ArrowRight": return far ? this.slide(0.06, 0) : this.turn(STEP_DEG, 0), true;
      case "ArrowUp": return far ? this.slide(0, 0.06) : this.turn(0, -STEP_DEG), true;
      case "ArrowDown": return far ? this.slide(0, -0.06) : this.turn(0, STEP_DEG), true;
      case "+": case "=": return this.turn(0, 0, 0.87), true;
      case "-": case "_": return this.turn(0, 0, 1 / 0.87), true;
      case "r": case "R": return this.frame(), true;
      case "t": case "T": return this.frame(0, 0), true;
      case "n": case "N": return this.faceNorth(), true;
      default: return false;
    }
  }
}
