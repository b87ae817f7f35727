// Arrays as textures.

import {
  ClampToEdgeWrapping, DataTexture, DataUtils, FloatType, HalfFloatType, LinearFilter, LinearMipmapLinearFilter,
  NearestFilter, RGBAFormat, RGFormat, RedFormat, Texture,
} from "three";
import { texels } from "./ramps.js";

export function filtered(texture, mipmaps = false) {
  texture.magFilter = LinearFilter;
  texture.minFilter = mipmaps ? LinearMipmapLinearFilter : LinearFilter;
  texture.generateMipmaps = mipmaps;
  texture.wrapS = texture.wrapT = ClampToEdgeWrapping;
  texture.needsUpdate = true;
  return texture;
}

/** Heights without gaps, in full precision; the vertex shader interpolates them itself. */
export function heightTexture(terrain) {
  const texture = new DataTexture(terrain.filled, terrain.width, terrain.height, RedFormat, FloatType);
  texture.minFilter = texture.magFilter = NearestFilter;
  texture.needsUpdate = true;
  return texture;
}

/** Slopes and gaps, see Terrain.relief. */
export function reliefTexture(terrain, mipmaps) {
  const data = new Uint16Array(4 * terrain.width * terrain.height);
  terrain.relief((i, v) => { data[i] = DataUtils.toHalfFloat(v > 6e4 ? 6e4 : v < -6e4 ? -6e4 : v); });
  return filtered(new DataTexture(data, terrain.width, terrain.height, RGBAFormat, HalfFloatType), mipmaps);
}

export function rampTexture(ramp) {
  return filtered(new DataTexture(texels(ramp), 256, 1));
}

export function pictureTexture(image, anisotropy) {
  const texture = new Texture(image);
  texture.flipY = false;
  texture.anisotropy = anisotropy;
  return filtered(texture, true);
}

/** Values brought to 0..1 between `low` and `high`, and whether there is one. */
export function valueTexture(values, [low, high], width, height) {
  const data = new Uint8Array(2 * values.length);
  const scale = 255 / (high - low || 1);
  for (let i = 0; i < values.length; i++) {
    const v = values[i];
    if (v !== v) continue;
    data[2 * i] = Math.min(Math.max((v - low) * scale, 0), 255);
    data[2 * i + 1] = 255;
  }
  const texture = new DataTexture(data, width, height, RGFormat);
  texture.unpackAlignment = 1;
  return filtered(texture);
}

export function byteTexture(data, width, height) {
  const texture = new DataTexture(data, width, height, RedFormat);
  texture.unpackAlignment = 1;
  return filtered(texture);
}
