import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import picomatch from "picomatch";
import { readReleaseFile } from "./release-file.js";

interface Manifest {
  name?: string;
  workspaces?: string[] | { packages?: string[] };
  resolutions?: Record<string, string>;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
}

const read = (dir: string): Manifest => JSON.parse(readReleaseFile(join(dir, "package.json"))) as Manifest;

/** The folders that the root's `workspaces` name. */
function workspaces(root: string, globs: string[]): string[] {
  const wanted = picomatch(
    globs.filter((glob) => !glob.startsWith("!")).map((glob) => glob.replace(/^\.\/|\/$/g, "")),
    { ignore: globs.filter((glob) => glob.startsWith("!")).map((glob) => glob.slice(1)) },
  );
  const found: string[] = [];
  const visit = (folder: string): void => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
      if (!entry.isDirectory() || /^(?:node_modules|\..*)$/.test(entry.name)) continue;
      if (wanted(path) && existsSync(join(root, path, "package.json"))) found.push(join(root, path));
      visit(path);
    }
  };
  visit("");
  return found;
}

/** A repository's pattern that could take for ever: nested groups, or star upon star. */
const isCostly = (glob: string): boolean => /[()]/.test(glob) || (glob.match(/\*+/g)?.length ?? 0) > 3;

/** `"a@^1", a@~1.2:` → `a@^1`, `a@~1.2`. */
const keysOf = (lock: string): Set<string> =>
  new Set(
    lock
      .split("\n")
      .filter((line) => /^[^\s#].*:$/.test(line))
      .flatMap((line) => line.slice(0, -1).split(", "))
      .map((key) => key.replace(/^"|"$/g, "")),
  );

/**
 * A dependency that yarn.lock (of yarn 1) does not know, as `name@range`. With workspaces yarn 1 takes no notice
 * of `--frozen-lockfile` and installs what it likes. Whatever is no plain range is left to yarn.
 */
export function notInYarnLock(dir: string): string | undefined {
  const root = read(dir);
  const globs = Array.isArray(root.workspaces) ? root.workspaces : root.workspaces?.packages;
  if (!globs || globs.some(isCostly)) return undefined;
  const locked = keysOf(readReleaseFile(join(dir, "yarn.lock")));
  const all = [root, ...workspaces(dir, globs).map(read)];
  const own = new Set(all.map(({ name }) => name));
  const resolved = Object.keys(root.resolutions ?? {}).map((path) => /(?:@[^/]+\/)?[^/]+$/.exec(path)?.[0]);
  for (const { dependencies, devDependencies, optionalDependencies } of all) {
    for (const [name, range] of Object.entries({
      ...optionalDependencies,
      ...devDependencies,
      ...dependencies,
    })) {
      if (own.has(name) || resolved.includes(name) || /^(?:link|file|portal|workspace):|^[./]/.test(range))
        continue;
      if (!locked.has(`${name}@${range}`)) return `${name}@${range}`;
    }
  }
  return undefined;
}
