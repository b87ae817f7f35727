// The drawing: surfaces, walls, water, shadow and sky in one three.js scene, drawn only when something changed.

import {
  BufferAttribute, BufferGeometry, Color, DoubleSide, Mesh, PerspectiveCamera, PlaneGeometry, Scene, ShaderMaterial,
  Vector2, Vector3, WebGLRenderer,
} from "three";
import { castShadows } from "./castshadow.js";
import { Chunks } from "./chunks.js";
import { paneAt, panes } from "./compare.js";
import { LAYERS } from "./layers.js";
import { WHOLE } from "./room.js";
import * as glsl from "./shaders.js";
import { SHADOW_PX, SHADOW_SIZE, shadowMap } from "./shadow.js";
import { walls } from "./surface.js";
import { sunDirection } from "./terrain.js";
import { byteTexture, pictureTexture, rampTexture, valueTexture } from "./textures.js";
import { waterMesh } from "./water.js";

const SKY = {
  light: { zenith: "#b9cfe0", horizon: "#f3f1ec", tone: "#c9c2b8", shadow: 0.42 },
  dark: { zenith: "#0d131b", horizon: "#2b3440", tone: "#6d6a68", shadow: 0.6 },
};
/** Height of the block below the least height, as a part of the extent. */
export const FOOT = 0.03;
/** [pixels a surface may be off, pixels of the screen to a pixel of the raster before finer ones are read, nodes]. */
const QUALITY = {
  card: { fine: [0.7, 1.5, 360], light: [2.5, 2.5, 120] },
  software: { fine: [2.5, 2, 72], light: [8, 4, 24] },
};

export class TerrainScene {
  /** @param surfaces {dem, truth?}: terrains; @param data {image, sigma, error, ranges, detail, north} */
  constructor(canvas, surfaces, data, { software, dark }) {
    this.terrain = surfaces.dem;
    this.software = software;
    this.ranges = data.ranges;
    this.north = data.north;
    this.room = WHOLE;
    this.renderer = new WebGLRenderer({ canvas, antialias: !software, powerPreference: "high-performance" });
    this.renderer.autoClear = false;
    this.camera = new PerspectiveCamera(38, 1, 0.01, 20);
    this.scene = new Scene();
    const { terrain } = this;
    this.common = { low: { value: terrain.low }, lift: { value: 1 }, shrink: { value: 1 / terrain.extent },
      foot: { value: FOOT }, size: { value: new Vector2(terrain.width, terrain.height) },
      col: { value: new Vector2(...terrain.col) }, row: { value: new Vector2(...terrain.row) }, water: { value: -1e30 } };
    this.addBackdrop();
    this.addShadow();
    this.addLook(data);
    this.surfaces = Object.fromEntries(Object.entries(surfaces).filter(([, one]) => one)
      .map(([name, one]) => [name, this.addSurface(one, name === "dem" ? data.detail : null)]));
    this.water = waterMesh(this.common);
    this.scene.add(this.water);
    this.setDark(dark);
  }

  /** What all surfaces share: picture, ramps, light. */
  addLook({ image, sigma, error, ranges }) {
    const { width, height, grid } = this.terrain;
    const anisotropy = this.software ? 1 : Math.min(4, this.renderer.capabilities.getMaxAnisotropy());
    this.ramps = Object.fromEntries(Object.entries(LAYERS).filter(([, l]) => l.ramp).map(([n, l]) => [n, rampTexture(l.ramp)]));
    this.values = {
      sigma: sigma ? valueTexture(sigma, ranges.sigma, width, height) : null,
      error: error ? valueTexture(error, ranges.error, width, height) : null,
    };
    this.look = {
      ...this.common,
      cover: { value: new Vector2(grid.factor / grid.source[0], grid.factor / grid.source[1]) },
      picture: { value: image ? pictureTexture(image, anisotropy) : null },
      values: { value: null },
      ramp: { value: this.ramps.height },
      span: { value: new Vector2(0, 1) },
      sun: { value: new Vector3(0, 1, 0) },
      layer: { value: 2 },
      contour: { value: 0 },
      depth: { value: 1 },
    };
  }

  addSurface(terrain, detail) {
    const bytes = new Uint8Array(terrain.width * terrain.height);
    const cast = byteTexture(bytes, terrain.width, terrain.height);
    const mipmaps = this.renderer.extensions.has("EXT_color_buffer_float");
    const chunks = new Chunks(terrain, { ...this.look, shaded: { value: cast } }, detail?.levels.length ? detail : null, mipmaps);
    this.scene.add(chunks.group);
    return { terrain, chunks, bytes, cast, wall: this.addWalls(terrain) };
  }

  addWalls(terrain) {
    const { corners, index } = walls(terrain);
    const geometry = new BufferGeometry();
    geometry.setAttribute("corner", new BufferAttribute(corners, 4));
    geometry.setIndex(new BufferAttribute(index, 1));
    this.wallTone ??= { value: new Color() };
    return this.add(geometry, { ...this.common, tone: this.wallTone }, glsl.WALL_VERTEX, glsl.WALL_FRAGMENT, { side: DoubleSide });
  }

  addBackdrop() {
    this.skyUniforms = { zenith: { value: new Color() }, horizon: { value: new Color() } };
    const settings = { depthTest: false, depthWrite: false };
    const mesh = this.add(new PlaneGeometry(2, 2), this.skyUniforms, glsl.BACKDROP_VERTEX, glsl.BACKDROP_FRAGMENT,
      settings);
    mesh.renderOrder = -2;
  }

  addShadow() {
    this.shadowUniforms = { map: { value: byteTexture(shadowMap(this.terrain), SHADOW_PX, SHADOW_PX) }, depth: { value: 0 } };
    const geometry = new PlaneGeometry(SHADOW_SIZE, SHADOW_SIZE).rotateX(-Math.PI / 2).translate(0, -FOOT - 0.001, 0);
    const mesh = this.add(geometry, this.shadowUniforms, glsl.SHADOW_VERTEX, glsl.SHADOW_FRAGMENT,
      { transparent: true, depthWrite: false });
    mesh.renderOrder = -1;
  }

  add(geometry, uniforms, vertexShader, fragmentShader, settings = {}) {
    const mesh = new Mesh(geometry, new ShaderMaterial({ uniforms, vertexShader, fragmentShader, ...settings }));
    mesh.frustumCulled = false;
    this.scene.add(mesh);
    return mesh;
  }

  setDark(dark) {
    const sky = dark ? SKY.dark : SKY.light;
    // Colours are used as they are written: the shaders work in the screen's own space.
    this.skyUniforms.zenith.value.setStyle(sky.zenith, "");
    this.skyUniforms.horizon.value.setStyle(sky.horizon, "");
    this.wallTone.value.setStyle(sky.tone, "");
    this.shadowUniforms.depth.value = sky.shadow;
  }

  apply(values) {
    const { terrain, look } = this;
    this.view = values;
    this.common.lift.value = (values.exaggeration * terrain.metres) / terrain.extent;
    this.common.water.value = values.water ? values.waterLevel : -1e30;
    this.water.visible = values.water;
    look.sun.value.set(...sunDirection(values.sunAzimuth + this.north, values.sunElevation));
    look.contour.value = values.contours ? values.contourInterval : 0;
    look.depth.value = 6 / (terrain.high - terrain.low || 1);
    this.aim();
  }

  /** Cast shadows of this sun, once for each surface; without them, full light. */
  castFor(surface) {
    const { sun } = this.look;
    const key = this.view.shadows ? sun.value.toArray().join() : "none";
    if (surface.castKey === key) return;
    surface.castKey = key;
    if (this.view.shadows) castShadows(surface.terrain, sun.value.toArray(), surface.bytes);
    else surface.bytes.fill(0);
    surface.cast.needsUpdate = true;
  }

  /** Drawn box of the surface in ground units, heights exaggerated: {min: [x, y, z], max: [x, y, z]}. */
  meshBounds() {
    const { terrain } = this;
    const b = terrain.bounds;
    const y = (h) => (h - terrain.low) * this.common.lift.value * terrain.extent;
    return { min: [b.minX, y(terrain.min), b.minZ], max: [b.maxX, y(terrain.max), b.maxZ] };
  }

  /** Height of the surface's top in the scene, where the extent is 1. */
  get top() {
    return (this.terrain.high - this.terrain.low) * this.common.lift.value;
  }

  /** Pane of the picture at a part (0..1) of its width. */
  paneAt(part) {
    return paneAt(this.panes, part);
  }

  get panes() {
    return panes(this.view, this.room.width);
  }

  /** Leave free what lies outside of this part of the picture: {width, height}, from its upper left corner. */
  setRoom(room) {
    if (room.width === this.room.width && room.height === this.room.height) return false;
    this.room = room;
    this.aim();
    return true;
  }

  resize(width, height, ratio) {
    Object.assign(this, { ratio, width, height });
    this.renderer.setPixelRatio(ratio);
    this.renderer.setSize(width, height, false);
    this.aim();
  }

  /** Point the camera so that the middle of its view is the middle of what is free of a pane. */
  aim(pane) {
    if (!this.view || !this.width || !this.height) return;
    const { free, width } = pane ?? this.panes[0];
    this.camera.setViewOffset(free * this.width, this.room.height * this.height, 0, 0, width * this.width, this.height);
  }

  draw(light = false) {
    const { renderer, width, height } = this;
    const ratio = light && this.software ? this.ratio / 2 : this.ratio;
    if (ratio !== renderer.getPixelRatio()) renderer.setPixelRatio(ratio);
    const [tolerance, cell, most] = QUALITY[this.software ? "software" : "card"][light ? "light" : "fine"];
    renderer.setScissorTest(true);
    for (const pane of this.panes) {
      this.aim(pane);
      renderer.setViewport(pane.x * width, 0, pane.width * width, height);
      renderer.setScissor(pane.from * width, 0, (pane.to - pane.from) * width, height);
      const shown = this.surfaces[pane.surface] ?? this.surfaces.dem;
      for (const one of Object.values(this.surfaces)) one.chunks.group.visible = one.wall.visible = one === shown;
      this.castFor(shown);
      this.dress(pane.layer);
      shown.chunks.arrange(this.camera, this.room.height * height * ratio, tolerance, cell, most);
      renderer.clear();
      renderer.render(this.scene, this.camera);
    }
    renderer.setScissorTest(false);
    this.drawn = Object.values(this.surfaces).flatMap((one) => (one.chunks.group.visible ? one.chunks.drawn : []));
  }

  dress(layer) {
    const { look } = this;
    look.layer.value = LAYERS[layer].number;
    look.ramp.value = this.ramps[layer] ?? this.ramps.height;
    look.values.value = this.values[layer] ?? null;
    look.span.value.set(...(this.ranges[layer] ?? [0, 1]));
  }
}
