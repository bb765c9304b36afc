import {
  chmodSync,
  existsSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { removeTree, removeTrees } from "../../src/adapters/remove-tree.js";
import { removeTempDir, tempDir } from "../support/temp.js";

/** Modes mean nothing to root: then somebody else removes, in a folder he can reach. */
const isRoot = process.geteuid?.() === 0;
const nobody = 65534;

function ownFolder(): string {
  if (!isRoot) return tempDir();
  const dir = mkdtempSync("/tmp/dropless-locked-");
  onTestFinished(() => removeTempDir(dir));
  lchownSync(dir, nobody, nobody);
  return dir;
}

test("folders that were made read-only go too; what a link leads to stays", async () => {
  const dir = ownFolder();
  const other = join(dir, "other");
  const tree = join(dir, "tree");
  const deep = join(tree, "locked", "deep");
  for (const folder of [other, deep]) mkdirSync(folder, { recursive: true });
  for (const folder of [other, deep]) writeFileSync(join(folder, "file"), "");
  symlinkSync(other, join(tree, "locked", "link"));
  const locked = [deep, join(tree, "locked"), other];
  if (isRoot)
    for (const path of [tree, ...locked, join(deep, "file"), join(tree, "locked", "link")])
      lchownSync(path, nobody, nobody);
  for (const path of locked) chmodSync(path, 0o555);
  if (isRoot) process.seteuid?.(nobody);
  try {
    await removeTree(tree);
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
  expect(existsSync(tree)).toBe(false);
  expect(existsSync(join(other, "file"))).toBe(true);
  await removeTree(join(dir, "nothing"));
});

test("one that cannot be removed keeps no other from going, and is told", async () => {
  const dir = tempDir();
  const paths = ["one", "stuck", "two"].map((name) => join(dir, name));
  for (const path of paths) mkdirSync(path);
  const remove = (path: string) =>
    path.endsWith("stuck") ? Promise.reject(new Error("it is a mount point")) : removeTree(path);
  await expect(removeTrees(paths, remove)).rejects.toThrow("it is a mount point");
  expect(paths.map((path) => existsSync(path))).toEqual([false, true, false]);
});
