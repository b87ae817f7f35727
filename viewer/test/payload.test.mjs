import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";

import { VERSION, decodeField, parsePayload } from "../src/payload.js";

const golden = JSON.parse(await readFile(new URL("../../tests/web/golden-payload.json", import.meta.url), "utf8"));

test("the golden file reads as Python reads it, to the last bit", async () => {
  assert.equal(golden.version, VERSION);
  for (const [name, field] of Object.entries(golden.fields)) {
    const { values, filled } = await decodeField(field);
    assert.ok(filled.every((v) => !Number.isNaN(v)), name);
    assert.deepEqual([...values].map((v) => (Number.isNaN(v) ? null : v)), golden.expected[name], name);
  }
});

test("a damaged field and a strange payload are refused in words", async () => {
  await assert.rejects(decodeField({ ...golden.fields.hill, width: 5 }), /damaged/);
  assert.throws(() => parsePayload('{"format":"other"}'), /holds no im2dem-page/);
  assert.throws(() => parsePayload('{"format":"im2dem-page","version":99}'), /version 99.*version 1/);
});
