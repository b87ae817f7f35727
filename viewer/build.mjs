// Bundles the viewer into src/im2dem/web/static. Same sources and lock file give the same bytes: no dates, no paths.
// `node build.mjs --check` builds in memory and fails when the committed files differ.

import { readFile, writeFile } from "node:fs/promises";
import { build, transform } from "esbuild";

const source = (name) => new URL(`src/${name}`, import.meta.url);
const target = (name) => new URL(`../src/im2dem/web/static/${name}`, import.meta.url);

const licence = async (path) => (await readFile(new URL(`node_modules/${path}`, import.meta.url), "utf8")).trim();
const bundle = await build({
  entryPoints: [source("main.js").pathname],
  absWorkingDir: new URL(".", import.meta.url).pathname,
  bundle: true,
  minify: true,
  write: false,
  format: "iife",
  charset: "utf8",
  target: ["chrome100", "firefox113", "safari16.4"],
  // The whole licences stand once, at the top; the short marks in the files would only repeat them.
  legalComments: "none",
  banner: {
    js: `/*! This file contains three.js (threejs.org) under this licence:\n${await licence("three/LICENSE")}\n\n` +
      `and gifenc (github.com/mattdesl/gifenc) under this one:\n${await licence("gifenc/LICENSE.md")}\n*/`,
  },
});
const style = await transform(await readFile(source("viewer.css"), "utf8"), { loader: "css", minify: true });
const files = {
  "viewer.js": bundle.outputFiles[0].text,
  "viewer.css": style.code,
  "template.html": await readFile(source("page.html"), "utf8"),
};

const check = process.argv.includes("--check");
let stale = 0;
for (const [name, text] of Object.entries(files)) {
  if (!check) await writeFile(target(name), text);
  else if ((await readFile(target(name), "utf8").catch(() => "")) !== text) {
    console.error(`src/im2dem/web/static/${name} is not what viewer/ builds: run "npm run build" in viewer/`);
    stale = 1;
  }
}
process.exitCode = stale;
