// Bundles src/ and three.js into static/player.js, the one file that a browser loads, and writes three's licence
// beside it. Needs node: `npm install && npm run build` in this folder. The result is committed, so nobody else does.

import { createHash } from "node:crypto";
import { copyFileSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));

// The hash of the sources goes into the first line, so that a test without node can tell a stale bundle.
const hash = createHash("sha256");
for (const name of ["package.json", ...readdirSync(join(here, "src")).sort().map((name) => `src/${name}`)]) {
  hash.update(readFileSync(join(here, name)));
}

const three = JSON.parse(readFileSync(join(here, "node_modules/three/package.json"), "utf-8")).version;
await build({
  absWorkingDir: here,
  entryPoints: ["src/main.js"],
  outfile: "static/player.js",
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  charset: "utf8",
  legalComments: "none",
  loader: { ".css": "text" },
  banner: {
    js:
      `// sources ${hash.digest("hex")}\n` +
      `// EavaNet Workbench clip player, with three.js ${three} (MIT licence, see three-LICENSE.txt).`,
  },
});
copyFileSync(join(here, "node_modules/three/LICENSE"), join(here, "static/three-LICENSE.txt"));
