import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createModules } from "../../../src/adapters/modules/modules.js";
import { tempDir } from "../../support/temp.js";

/** Packages that a release has, and that are kept without their `entry.json`. */
function taken(prune: object) {
  const root = tempDir();
  const release = { name: "one", path: join(root, "releases", "one") };
  const kept = join(root, "cache", "modules", "key");
  for (const folder of [join(release.path, ".dropless"), join(release.path, "node_modules"), kept])
    mkdirSync(folder, { recursive: true });
  writeFileSync(join(release.path, ".dropless", "modules"), "key");
  const entry = {
    format: 1,
    place: "/p",
    paths: ["node_modules"],
    texts: [],
    scripted: [],
    bytes: 1,
    digest: "",
  };
  writeFileSync(join(kept, "lent.json"), JSON.stringify({ ...entry, ...prune }));
  const modules = createModules({
    app: { root, timeouts: { fetch: 1, install: 1, build: 1, migrate: 1 } },
  });
  return { release, modules, kept };
}

test("what was lent is kept again", async () => {
  const { release, modules, kept } = taken({
    prune: { lent: ["node_modules"], dropped: [], changed: [] },
  });
  await modules.giveBack(release);
  expect(existsSync(join(kept, "entry.json"))).toBe(true);
  expect(existsSync(join(kept, "go", "node_modules"))).toBe(true);
});

test("what a killed daemon was still learning is not taken for whole", async () => {
  // With all that the build needed moved already: copied from here, a release would have no packages.
  const { release, modules, kept } = taken({});
  await modules.giveBack(release);
  expect(existsSync(join(kept, "entry.json"))).toBe(false);
});
