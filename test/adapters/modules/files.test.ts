import { randomUUID } from "node:crypto";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { copyFolders, lookThrough } from "../../../src/adapters/modules/files.js";
import { createStopwatch } from "../../../src/domain/stopwatch.js";
import { memoryLog } from "../../support/log.js";
import { tempDir } from "../../support/temp.js";

/** All that a copy has to keep of what is below a folder, and of the folder itself. */
function told(root: string, path: string): string[] {
  const { mode, mtimeMs } = lstatSync(join(root, path));
  const facts = `${JSON.stringify(path)} ${mode.toString(8)} ${Math.floor(mtimeMs)}`;
  if ((mode & 0o170000) === 0o120000) return [`${facts} -> ${readlinkSync(join(root, path))}`];
  if ((mode & 0o170000) === 0o100000) return [`${facts} ${readFileSync(join(root, path), "utf8")}`];
  const names = readdirSync(join(root, path)).sort();
  return [facts, ...names.flatMap((name) => told(root, `${path}/${name}`))];
}

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

const paths = ["node_modules", "packages/one/node_modules", "few/node_modules", "src"];

test.each([130, 3])("a copy has everything of %i packages: names, times, modes and links", async (count) => {
  const [from, to] = [tempDir(), tempDir()];
  for (const path of paths) {
    const folder = join(from, path);
    mkdirSync(folder, { recursive: true });
    mkdirSync(join(to, path, ".."), { recursive: true });
    const names = ["@scope", ".bin", "with space", "-dash", "line\nbreak", "it's", "$HOME", "*"];
    const packages = Array.from({ length: path.startsWith("few") ? 2 : count }, (_, n) => `package-${n}`);
    for (const [n, name] of [...names, ...packages].entries()) {
      mkdirSync(join(folder, name, "lib"), { recursive: true });
      writeFileSync(join(folder, name, "lib", "index.js"), `${n}`);
      chmodSync(join(folder, name, "lib", "index.js"), n % 2 === 0 ? 0o755 : 0o600);
      utimesSync(join(folder, name, "lib", "index.js"), n + 1, n + 2);
      utimesSync(join(folder, name), n + 3, n + 4);
    }
    symlinkSync("../package-1/lib/index.js", join(folder, ".bin", "one"));
    symlinkSync("../nowhere", join(folder, "workspace"));
    writeFileSync(join(folder, ".package-lock.json"), "{}");
    chmodSync(folder, 0o750);
    utimesSync(folder, 1_000, 2_000);
  }
  const before = lstatSync(join(to, "packages/one")).mode;
  const io = {
    log: memoryLog(),
    signal: new AbortController().signal,
    marker: randomUUID(),
    stopwatch: createStopwatch(),
  };
  await copyFolders({ from, to, paths, timeoutMs: 60_000 }, io);
  expect(io.log.text()).toBe("");
  for (const path of paths) expect(told(to, path)).toEqual(told(from, path));
  expect(readdirSync(to).sort()).toEqual(["few", "node_modules", "packages", "src"]);
  expect(lstatSync(join(to, "packages/one")).mode).toBe(before);
});
