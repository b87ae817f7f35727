// A water level: how much of the ground lies below it, and the box that is drawn.

import { BoxGeometry, Mesh, ShaderMaterial, DoubleSide, Vector3 } from "three";

/** Part (0..1) of the pixels with a height below each level: returns a function of the level. */
export function floodCurve(terrain) {
  const bins = 4096;
  const counts = new Float64Array(bins + 1);
  const scale = bins / (terrain.max - terrain.min || 1);
  for (const h of terrain.heights) if (h === h) counts[Math.min(Math.floor((h - terrain.min) * scale), bins - 1) + 1]++;
  for (let k = 1; k <= bins; k++) counts[k] += counts[k - 1];
  return (level) => {
    const x = Math.min(Math.max((level - terrain.min) * scale, 0), bins);
    const k = Math.min(Math.floor(x), bins - 1);
    return (counts[k] + (counts[k + 1] - counts[k]) * (x - k)) / (terrain.valid || 1);
  };
}

const VERTEX = /* glsl */ `
uniform vec2 col;
uniform vec2 row;
uniform vec2 size;
uniform float shrink;
uniform float low;
uniform float lift;
uniform float water;
varying float top;
void main() {
  top = position.y + 0.5;
  // A hair inside the walls, so that the box shows only where it stands above the ground.
  vec2 pixel = position.xz * (size - 1.0) * 0.9995;
  vec2 ground = (col * pixel.x + row * pixel.y) * shrink;
  gl_Position = projectionMatrix * modelViewMatrix * vec4(ground.x, mix(-0.001, (water - low) * lift, top), ground.y, 1.0);
}`;

const FRAGMENT = /* glsl */ `
uniform vec3 tone;
varying float top;
void main() {
  gl_FragColor = vec4(tone, 0.42);
}`;

export function waterMesh(common) {
  const uniforms = { ...common, water: common.water, tone: { value: new Vector3(0.2, 0.46, 0.62) } };
  const mesh = new Mesh(new BoxGeometry(1, 1, 1), new ShaderMaterial({ uniforms, vertexShader: VERTEX,
    fragmentShader: FRAGMENT, transparent: true, depthWrite: false, side: DoubleSide,
    // Ground as high as the water, a lake say, is dry all over rather than in stripes.
    polygonOffset: true, polygonOffsetFactor: 1, polygonOffsetUnits: 8 }));
  mesh.frustumCulled = false;
  mesh.renderOrder = 2;
  mesh.visible = false;
  return mesh;
}
