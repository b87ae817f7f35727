// GLSL (three prefixes it for WebGL 2). Light comes from true slopes: exaggeration lifts the mesh, not the shading.

export const SURFACE_VERTEX = /* glsl */ `
attribute float h;
uniform vec2 size;
uniform vec2 col;
uniform vec2 row;
uniform vec2 cover;
uniform float low;
uniform float lift;
uniform float shrink;
varying vec2 at;
varying vec2 over;
void main() {
  int width = int(size.x);
  vec2 pixel = vec2(float(gl_VertexID % width), float(gl_VertexID / width)) + 0.5;
  at = pixel / size;
  over = pixel * cover;
  vec2 centred = pixel - 0.5 * size;
  vec2 ground = (col * centred.x + row * centred.y) * shrink;
  gl_Position = projectionMatrix * modelViewMatrix * vec4(ground.x, (h - low) * lift, ground.y, 1.0);
}`;

export const SURFACE_FRAGMENT = /* glsl */ `
uniform sampler2D relief;
uniform sampler2D picture;
uniform sampler2D ramp;
uniform sampler2D sigma;
uniform vec3 sun;
uniform int layer;
varying vec2 at;
varying vec2 over;
void main() {
  vec4 t = texture2D(relief, at);
  if (t.w < 0.5) discard;
  t.xyz /= t.w;
  vec3 normal = normalize(vec3(-t.x, 1.0, -t.y));
  float direct = max(dot(normal, sun), 0.0);
  float sky = 0.5 + 0.5 * normal.y;
  float level = direct / max(sun.y, 0.25);
  vec3 colour;
  if (layer == 0) {
    colour = texture2D(picture, over).rgb * min(0.34 * sky + 0.64 * level, 1.4);
  } else if (layer == 1) {
    colour = vec3(1.0, 0.98, 0.94) * (0.86 * direct) + vec3(0.17, 0.19, 0.24) * sky;
  } else if (layer == 2) {
    colour = texture2D(ramp, vec2(t.z * 0.99609 + 0.00195, 0.5)).rgb * min(0.32 * sky + 0.66 * level, 1.25);
  } else {
    vec2 s = texture2D(sigma, at).rg;
    vec3 known = texture2D(ramp, vec2(s.r / max(s.g, 0.01) * 0.99609 + 0.00195, 0.5)).rgb;
    colour = mix(vec3(0.55), known, step(0.5, s.g)) * min(0.45 * sky + 0.52 * level, 1.2);
  }
  gl_FragColor = vec4(colour, 1.0);
}`;

export const WALL_VERTEX = /* glsl */ `
attribute vec4 corner;
uniform float low;
uniform float lift;
uniform float shrink;
uniform float foot;
varying vec3 place;
void main() {
  float y = mix((corner.y - low) * lift, -foot, corner.w);
  place = vec3(corner.x * shrink, y, corner.z * shrink);
  gl_Position = projectionMatrix * modelViewMatrix * vec4(place, 1.0);
}`;

export const WALL_FRAGMENT = /* glsl */ `
uniform vec3 tone;
uniform float foot;
varying vec3 place;
void main() {
  vec3 side = normalize(cross(dFdx(place), dFdy(place)));
  // Fixed light, so that the block stays calm while the sun moves: south is bright, east and west are half lit.
  float light = 0.74 + 0.2 * abs(side.z) + 0.06 * side.x;
  float down = clamp((place.y + foot) / (2.5 * foot), 0.0, 1.0);
  gl_FragColor = vec4(tone * light * mix(0.8, 1.0, down), 1.0);
}`;

export const BACKDROP_VERTEX = /* glsl */ `
varying float up;
void main() {
  up = 0.5 * position.y + 0.5;
  gl_Position = vec4(position.xy, 1.0, 1.0);
}`;

export const BACKDROP_FRAGMENT = /* glsl */ `
uniform vec3 zenith;
uniform vec3 horizon;
varying float up;
void main() {
  vec3 colour = mix(horizon, zenith, smoothstep(0.05, 1.0, up));
  // Half a grey level of noise: a wide soft gradient shows bands in eight bits.
  float grain = fract(sin(dot(gl_FragCoord.xy, vec2(12.9898, 78.233))) * 43758.5453) - 0.5;
  gl_FragColor = vec4(colour + grain / 255.0, 1.0);
}`;

export const SHADOW_VERTEX = /* glsl */ `
varying vec2 at;
void main() {
  at = vec2(uv.x, 1.0 - uv.y);
  gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0);
}`;

export const SHADOW_FRAGMENT = /* glsl */ `
uniform sampler2D map;
uniform float depth;
varying vec2 at;
void main() {
  gl_FragColor = vec4(0.05, 0.07, 0.1, depth * texture2D(map, at).r);
}`;
