import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { lookThrough } from "../../../src/adapters/modules/files.js";
import { tempDir } from "../../support/temp.js";

test("packages are looked through however many of their files have to be named", async () => {
  const root = tempDir();
  mkdirSync(join(root, "node_modules"));
  writeFileSync(join(root, "node_modules", "here.js"), `exports.where = "${root}";`);
  const look = { roots: [root], folders: ["node_modules"], place: root };
  const first = await lookThrough(look);
  expect(first.texts).toEqual(["node_modules/here.js"]);
  // One argument of a process has room for 128 kB.
  const many = Array.from({ length: 10_000 }, (_, n) => `node_modules/package-${n}/package.json`);
  const { digest } = await lookThrough({ ...look, texts: [...first.texts, ...many] });
  expect(digest).toBe(first.digest);
});
