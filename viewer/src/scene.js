// The drawing: surface, walls, shadow and sky in one three.js scene, drawn only when something changed.

import {
  BufferAttribute, BufferGeometry, ClampToEdgeWrapping, Color, DataTexture, DataUtils, DoubleSide, HalfFloatType,
  LinearFilter, LinearMipmapLinearFilter, Mesh, PerspectiveCamera, PlaneGeometry, RGBAFormat, RGFormat, RedFormat, Scene,
  ShaderMaterial, Texture, Vector2, Vector3, WebGLRenderer,
} from "three";
import { HEIGHT_RAMP, SIGMA_RAMP, texels } from "./ramps.js";
import * as glsl from "./shaders.js";
import { SHADOW_PX, SHADOW_SIZE, shadowMap } from "./shadow.js";
import { triangles, walls } from "./surface.js";
import { range, sunDirection } from "./terrain.js";

const LAYERS = ["image", "hillshade", "height", "sigma"];
const SKY = {
  light: { zenith: "#b9cfe0", horizon: "#f3f1ec", tone: "#c9c2b8", shadow: 0.42 },
  dark: { zenith: "#0d131b", horizon: "#2b3440", tone: "#6d6a68", shadow: 0.6 },
};
/** Height of the block below the least height, as a part of the extent. */
export const FOOT = 0.03;
/** Triangles that any machine turns smoothly; coarser meshes are drawn while the camera moves. */
const LIGHT_TRIANGLES = 130000;

export class TerrainScene {
  constructor(canvas, terrain, { image, sigma, software, dark }) {
    this.terrain = terrain;
    this.software = software;
    this.renderer = new WebGLRenderer({ canvas, antialias: !software, powerPreference: "high-performance" });
    this.renderer.autoClear = false;
    this.camera = new PerspectiveCamera(38, 1, 0.01, 20);
    this.scene = new Scene();
    this.sigmaRange = sigma ? range(sigma) : null;
    this.common = { low: { value: terrain.min }, lift: { value: 1 }, shrink: { value: 1 / terrain.extent },
      foot: { value: FOOT } };
    this.addBackdrop();
    this.addShadow();
    this.addWalls();
    this.addSurface(image, sigma, software);
    this.setDark(dark);
  }

  addSurface(image, sigma, software) {
    const { terrain } = this;
    const { width, height, grid } = terrain;
    this.ramps = { height: rampTexture(HEIGHT_RAMP), sigma: rampTexture(SIGMA_RAMP) };
    this.surfaceUniforms = {
      ...this.common,
      size: { value: new Vector2(width, height) },
      col: { value: new Vector2(...terrain.col) },
      row: { value: new Vector2(...terrain.row) },
      cover: { value: new Vector2(grid.factor / grid.source[0], grid.factor / grid.source[1]) },
      relief: { value: this.reliefTexture() },
      picture: { value: image ? pictureTexture(image, software ? 1 : Math.min(4, this.renderer.capabilities.getMaxAnisotropy())) : null },
      sigma: { value: sigma ? sigmaTexture(sigma, this.sigmaRange, width, height) : null },
      ramp: { value: this.ramps.height },
      sun: { value: new Vector3(0, 1, 0) },
      layer: { value: 2 },
    };
    const geometry = new BufferGeometry();
    geometry.setAttribute("h", new BufferAttribute(terrain.heights, 1));
    this.fineIndex = new BufferAttribute(triangles(terrain.heights, width, height, 1, terrain.det), 1);
    const few = software ? LIGHT_TRIANGLES / 4 : LIGHT_TRIANGLES;
    const stride = Math.max(1, Math.ceil(Math.sqrt((2 * width * height) / few)));
    this.lightIndex = stride === 1 ? this.fineIndex
      : new BufferAttribute(triangles(terrain.heights, width, height, stride, terrain.det), 1);
    geometry.setIndex(this.fineIndex);
    this.surface = this.add(geometry, this.surfaceUniforms, glsl.SURFACE_VERTEX, glsl.SURFACE_FRAGMENT);
  }

  reliefTexture() {
    const { width, height } = this.terrain;
    const data = new Uint16Array(4 * width * height);
    this.terrain.relief((i, v) => { data[i] = DataUtils.toHalfFloat(Math.min(Math.max(v, -6e4), 6e4)); });
    const texture = new DataTexture(data, width, height, RGBAFormat, HalfFloatType);
    return filtered(texture, this.renderer.extensions.has("EXT_color_buffer_float"));
  }

  addWalls() {
    const { corners, index } = walls(this.terrain);
    const geometry = new BufferGeometry();
    geometry.setAttribute("corner", new BufferAttribute(corners, 4));
    geometry.setIndex(new BufferAttribute(index, 1));
    this.wallUniforms = { ...this.common, tone: { value: new Color() } };
    this.add(geometry, this.wallUniforms, glsl.WALL_VERTEX, glsl.WALL_FRAGMENT, { side: DoubleSide });
  }

  addBackdrop() {
    this.skyUniforms = { zenith: { value: new Color() }, horizon: { value: new Color() } };
    const settings = { depthTest: false, depthWrite: false };
    const mesh = this.add(new PlaneGeometry(2, 2), this.skyUniforms, glsl.BACKDROP_VERTEX, glsl.BACKDROP_FRAGMENT,
      settings);
    mesh.renderOrder = -2;
  }

  addShadow() {
    const map = new DataTexture(shadowMap(this.terrain), SHADOW_PX, SHADOW_PX, RedFormat);
    this.shadowUniforms = { map: { value: filtered(map, false) }, depth: { value: 0 } };
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
    this.wallUniforms.tone.value.setStyle(sky.tone, "");
    this.shadowUniforms.depth.value = sky.shadow;
  }

  apply({ exaggeration, sunAzimuth, sunElevation, layer }) {
    const { terrain, surfaceUniforms: u } = this;
    this.common.lift.value = (exaggeration * terrain.metres) / terrain.extent;
    u.sun.value.set(...sunDirection(sunAzimuth, sunElevation));
    u.layer.value = LAYERS.indexOf(layer);
    u.ramp.value = layer === "sigma" ? this.ramps.sigma : this.ramps.height;
  }

  /** Drawn box of the surface in ground units, heights exaggerated: {min: [x, y, z], max: [x, y, z]}. */
  meshBounds() {
    const { terrain } = this;
    const b = terrain.bounds;
    const top = (terrain.max - terrain.min) * this.common.lift.value * terrain.extent;
    return { min: [b.minX, 0, b.minZ], max: [b.maxX, top, b.maxZ] };
  }

  /** Height of the surface's top in the scene, where the extent is 1. */
  get top() {
    return (this.terrain.max - this.terrain.min) * this.common.lift.value;
  }

  resize(width, height, ratio) {
    this.ratio = ratio;
    this.renderer.setPixelRatio(ratio);
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
  }

  draw(light = false) {
    const index = light ? this.lightIndex : this.fineIndex;
    if (this.surface.geometry.index !== index) this.surface.geometry.setIndex(index);
    const ratio = light && this.software ? this.ratio / 2 : this.ratio;
    if (ratio !== this.renderer.getPixelRatio()) this.renderer.setPixelRatio(ratio);
    this.renderer.clear();
    this.renderer.render(this.scene, this.camera);
  }
}

function filtered(texture, mipmaps) {
  texture.magFilter = LinearFilter;
  texture.minFilter = mipmaps ? LinearMipmapLinearFilter : LinearFilter;
  texture.generateMipmaps = mipmaps;
  texture.wrapS = texture.wrapT = ClampToEdgeWrapping;
  texture.needsUpdate = true;
  return texture;
}

function rampTexture(ramp) {
  return filtered(new DataTexture(texels(ramp), 256, 1), false);
}

function pictureTexture(image, anisotropy) {
  const texture = new Texture(image);
  texture.flipY = false;
  texture.anisotropy = anisotropy;
  return filtered(texture, true);
}

function sigmaTexture(values, [, max], width, height) {
  const data = new Uint8Array(2 * values.length);
  for (let i = 0; i < values.length; i++) {
    if (values[i] === values[i]) data.set([(255 * values[i]) / (max || 1), 255], 2 * i);
  }
  const texture = new DataTexture(data, width, height, RGFormat);
  texture.unpackAlignment = 1;
  return filtered(texture, false);
}
