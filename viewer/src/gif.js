// Colours of a GIF: 256 for the whole film, so that nothing flickers, mixed in a fine pattern, so that the sky has no steps.

import * as gifenc from "gifenc";

// Node.js, which runs the tests, takes this package for CommonJS and puts all of it into the default.
const { applyPalette, quantize } = gifenc.quantize ? gifenc : gifenc.default;
const MOST_COLOURS = 256;
/** Pixels of a picture that are asked for their colour. */
const ASKED = 20000;
/** Width of the pattern in grey levels: about as far as neighbouring colours of a palette lie apart. */
const SPREAD = 10;

/** The palette of some pictures of a film, each RGBA bytes: a list of [r, g, b]. */
export function commonPalette(pictures) {
  const asked = pictures.map((data) => {
    const pixels = new Uint32Array(data.buffer, data.byteOffset, data.length >> 2);
    const step = Math.max(1, Math.floor(pixels.length / ASKED));
    return pixels.filter((_, k) => k % step === 0);
  });
  const all = new Uint32Array(asked.reduce((sum, part) => sum + part.length, 0));
  asked.reduce((at, part) => (all.set(part, at), at + part.length), 0);
  return quantize(new Uint8Array(all.buffer), MOST_COLOURS);
}

/** Last bits of red, green and blue that gifenc does not look at. */
const CUT = [7, 3, 7];

/** Bayer's pattern of 8 x 8, -0.5 to 0.5. */
const PATTERN = Float32Array.from({ length: 64 }, (_, k) => {
  let [x, y, value] = [k & 7, k >> 3, 0];
  for (let bit = 0; bit < 3; bit++, x >>= 1, y >>= 1) value = 4 * value + 2 * ((x ^ y) & 1) + (y & 1);
  return (value + 0.5) / 64 - 0.5;
});

/** Numbers of the palette's colours for a picture of RGBA bytes, `width` pixels wide. */
export function indexed(data, width, palette) {
  const mixed = new Uint8ClampedArray(data);
  for (let i = 0; i < mixed.length; i += 4) {
    const pixel = i >> 2;
    const shift = SPREAD * PATTERN[((Math.floor(pixel / width) & 7) << 3) | (pixel % width & 7)];
    for (let k = 0; k < 3; k++) {
      mixed[i + k] += shift;
      // gifenc looks up one colour for all that agree in their first bits; their middle is the same in every picture.
      mixed[i + k] = (mixed[i + k] & ~CUT[k]) | (CUT[k] + 1) >> 1;
    }
  }
  return applyPalette(mixed, palette);
}
