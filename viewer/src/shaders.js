// GLSL (three prefixes it for WebGL 2). Light comes from true slopes: exaggeration lifts the mesh, not the shading.

export const SURFACE_VERTEX = /* glsl */ `
attribute vec3 corner;
uniform highp sampler2D heights;
uniform vec3 node;
uniform vec4 tile;
uniform vec2 tileSide;
uniform float skirt;
uniform vec2 size;
uniform vec2 col;
uniform vec2 row;
uniform vec2 cover;
uniform float low;
uniform float lift;
uniform float shrink;
varying vec2 at;
varying vec2 over;
varying vec2 texel;
varying float high;
float heightOf(vec2 t) {
  vec2 whole = floor(t);
  vec2 part = t - whole;
  ivec2 last = ivec2(tileSide) - 1;
  ivec2 a = clamp(ivec2(whole), ivec2(0), last);
  // On the mesh itself vertices lie on pixels: one look is enough.
  if (tile.x == 1.0) return texelFetch(heights, a, 0).r;
  ivec2 b = clamp(ivec2(whole) + 1, ivec2(0), last);
  float one = mix(texelFetch(heights, a, 0).r, texelFetch(heights, ivec2(b.x, a.y), 0).r, part.x);
  float two = mix(texelFetch(heights, ivec2(a.x, b.y), 0).r, texelFetch(heights, b, 0).r, part.x);
  return mix(one, two, part.y);
}
void main() {
  vec2 last = size - 1.0;
  vec2 pixel = min(node.xy + corner.xy * node.z, last);
  vec2 t = pixel * tile.x + tile.yz;
  high = heightOf(t);
  texel = (t + 0.5) / tileSide;
  at = (pixel + 0.5) / size;
  over = (pixel + 0.5) * cover;
  vec2 centred = pixel + 0.5 - 0.5 * size;
  vec2 ground = (col * centred.x + row * centred.y) * shrink;
  // No skirt along the rim of the raster: the walls stand there.
  bool rim = pixel.x <= 0.0 || pixel.y <= 0.0 || pixel.x >= last.x || pixel.y >= last.y;
  float down = rim ? 0.0 : corner.z * skirt;
  gl_Position = projectionMatrix * modelViewMatrix * vec4(ground.x, (high - low) * lift - down, ground.y, 1.0);
}`;

export const SURFACE_FRAGMENT = /* glsl */ `
uniform sampler2D relief;
uniform sampler2D picture;
uniform sampler2D ramp;
uniform sampler2D values;
uniform sampler2D shaded;
uniform vec2 span;
uniform vec3 sun;
uniform int layer;
uniform float contour;
uniform float water;
uniform float depth;
varying vec2 at;
varying vec2 over;
varying vec2 texel;
varying float high;
vec3 ramped(float t) {
  return texture2D(ramp, vec2(clamp(t, 0.0, 1.0) * 0.99609 + 0.00195, 0.5)).rgb;
}
float line(float x, float width) {
  float wide = max(fwidth(x), 1e-6);
  return (1.0 - smoothstep(width - 0.5, width + 0.5, abs(fract(x - 0.5) - 0.5) / wide)) * (1.0 - smoothstep(0.25, 0.6, wide));
}
void main() {
  vec4 t = texture2D(relief, texel);
  if (t.w < 0.5) discard;
  t.xyz /= t.w;
  vec3 normal = normalize(vec3(-t.x, 1.0, -t.y));
  float direct = max(dot(normal, sun), 0.0) * (sun.y > 0.0 ? 1.0 - texture2D(shaded, at).r : 0.0);
  float sky = 0.5 + 0.5 * normal.y;
  float level = direct / max(sun.y, 0.25);
  vec3 colour;
  if (layer == 0) {
    colour = texture2D(picture, over).rgb * min(0.34 * sky + 0.64 * level, 1.4);
  } else if (layer == 1) {
    // Under a sun higher than 44 degrees level ground keeps its tone: it would be white, with nothing to be seen on it.
    colour = vec3(1.0, 0.98, 0.94) * (0.86 * direct * 0.7 / max(sun.y, 0.7)) + vec3(0.17, 0.19, 0.24) * sky;
  } else if (layer == 2) {
    colour = ramped((high - span.x) / (span.y - span.x)) * min(0.32 * sky + 0.66 * level, 1.25);
  } else {
    float soft = min(0.5 * sky + 0.47 * level, 1.15);
    float steep = length(t.xy);
    if (layer == 3) {
      colour = ramped(degrees(atan(steep)) / span.y);
    } else if (layer == 4) {
      colour = mix(vec3(0.72), ramped(fract(atan(-t.x, t.y) / 6.2831853 + 1.0)), smoothstep(0.002, 0.03, steep));
    } else {
      vec2 s = texture2D(values, at).rg;
      colour = mix(vec3(0.55), ramped(s.r / max(s.g, 0.01)), step(0.5, s.g));
    }
    colour *= soft;
  }
  if (contour > 0.0) {
    float step5 = high / (5.0 * contour);
    colour = mix(colour, vec3(0.13, 0.09, 0.06), max(0.5 * line(high / contour, 0.7), 0.7 * line(step5, 1.0)));
  }
  // What is interpolated between equal heights differs in its last digits.
  if (high < water - 1e-6 * abs(water)) colour = mix(colour, vec3(0.07, 0.2, 0.32), 0.25 + 0.6 * (1.0 - exp((high - water) * depth)));
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
