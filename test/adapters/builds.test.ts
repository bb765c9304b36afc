import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createBuilds } from "../../src/adapters/builds.js";
import { memoryLog } from "../support/log.js";
import { tempDir } from "../support/temp.js";

test("what a killed attempt has copied goes, also when nothing may be copied any more", async () => {
  const path = tempDir();
  const own = join(path, ".dropless");
  mkdirSync(join(own, "copy", "node_modules"), { recursive: true });
  writeFileSync(join(own, "copy", "node_modules", "half"), "");
  writeFileSync(join(own, "preload.cjs"), "");
  const builds = createBuilds({
    app: { shared: [], timeouts: { fetch: 1, install: 1, build: 1, migrate: 1 } },
    // As it is after the machine's restart: no release says what it was built of.
    releases: { find: () => undefined, built: () => ({ sha: "a".repeat(40) }) },
  });
  const io = { log: memoryLog(), signal: new AbortController().signal, marker: "d1" };
  expect(await builds.take("content", { name: "new", path }, ["old"], io)).toBeUndefined();
  expect(existsSync(join(own, "copy"))).toBe(false);
  expect(existsSync(join(own, "preload.cjs"))).toBe(true);
});
