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
import { mountsIn } from "../../src/adapters/mounts.js";
import { removeTree, removeTrees } from "../../src/adapters/remove-tree.js";
import { Fault } from "../../src/domain/fault.js";
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

test("one that cannot be removed keeps no other from going, and each is told", async () => {
  const dir = tempDir();
  const paths = ["one", "stuck", "two", "held"].map((name) => join(dir, name));
  for (const path of paths) mkdirSync(path);
  const remove = (path: string) =>
    /stuck|held/.test(path)
      ? Promise.reject(new Fault("not_removed", `${path} stays`, ""))
      : removeTree(path);
  await expect(removeTrees(paths, remove)).rejects.toThrow(`${dir}/stuck stays; ${dir}/held stays`);
  expect(paths.map((path) => existsSync(path))).toEqual([false, true, false, true]);
});

test("where something is mounted nothing is touched, and the mount is named", async () => {
  const dir = tempDir();
  const tree = join(dir, "tree");
  const mount = join(tree, "a b", "uploads");
  mkdirSync(mount, { recursive: true });
  for (const folder of [tree, mount]) writeFileSync(join(folder, "file"), "");
  symlinkSync(dir, join(dir, "link"));
  const line = (path: string) =>
    `36 35 98:0 / ${path.replaceAll(" ", "\\040")} rw,noatime shared:1 - ext3 /dev/root rw`;
  const table = [line("/"), line(`${dir}/tree-2`), line(mount)].join("\n");
  await expect(removeTree(join(dir, "link", "tree"), (path) => mountsIn(path, table))).rejects.toMatchObject({
    code: "not_removed",
    message: `${dir}/link/tree cannot be removed: ${mount} is a mount point`,
    hint: expect.stringContaining(`umount ${mount}`),
  });
  for (const folder of [tree, mount]) expect(existsSync(join(folder, "file"))).toBe(true);
  await removeTree(tree, (path) => mountsIn(path, table.slice(0, table.lastIndexOf("\n"))));
  expect(existsSync(tree)).toBe(false);
  expect(mountsIn("/proc")).toContain("/proc");
});
