// The other reader of docs/page-payload.md; src/im2dem/web/payload.py is the writer and the first reader.

export const FORMAT = "im2dem-page";
export const VERSION = 1;

/** The payload object of a page; throws in words when it is not one that this viewer reads. */
export function parsePayload(text) {
  const payload = JSON.parse(text);
  if (payload.format !== FORMAT) throw new Error(`This page holds no ${FORMAT} payload.`);
  if (payload.version !== VERSION) {
    throw new Error(`The payload has version ${payload.version}, this viewer reads version ${VERSION}.`);
  }
  return payload;
}

export function bytesOfBase64(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

async function inflate(text) {
  if (typeof DecompressionStream === "undefined") {
    throw new Error("This browser cannot unpack the heights (no DecompressionStream). Any browser since 2023 can.");
  }
  const stream = new Blob([bytesOfBase64(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** {values, filled} of a field object, row by row: NaN = no data, or in `filled` the value the writer put there. */
export async function decodeField(field) {
  const { width, height, bits, scale, offset, predictor } = field;
  const count = width * height;
  const raw = await inflate(field.data);
  if (raw.length !== (count * bits) / 8) throw new Error("The heights in this page are damaged.");
  const q = bits === 16 ? new Uint16Array(count) : new Uint8Array(count);
  const plane = predictor === "plane";
  for (let row = 0, i = 0; row < height; row++) {
    let sum = 0;
    for (let col = 0; col < width; col++, i++) {
      const folded = bits === 16 ? raw[i] | (raw[count + i] << 8) : raw[i];
      sum += (folded >>> 1) ^ -(folded & 1);
      // The typed array wraps around at 2**bits, as the sums of the writer do.
      q[i] = plane && row > 0 ? sum + q[i - width] : sum;
    }
  }
  const filled = new Float32Array(count);
  for (let i = 0; i < count; i++) filled[i] = q[i] * scale + offset;
  if (!field.mask) return { values: filled, filled };
  const values = filled.slice();
  const mask = await inflate(field.mask);
  for (let i = 0; i < count; i++) if (!((mask[i >> 3] >> (7 - (i & 7))) & 1)) values[i] = NaN;
  return { values, filled };
}
