import { chmodSync, existsSync, realpathSync, statSync } from "node:fs";
import { join, sep } from "node:path";
import { type Installation, lifecycle } from "./key.js";
import type { Argv, Packages } from "./packages.js";

const isOwn = (scripts: Record<string, unknown>, name: string): boolean => typeof scripts[name] === "string";

/** `run install` runs what is before and after it as well. */
function ownEvents(scripts: Record<string, unknown>): string[] {
  const group = (name: string): string[] =>
    isOwn(scripts, name) ? [name] : [`pre${name}`, `post${name}`].filter((one) => isOwn(scripts, one));
  return [...group("install"), ...(isOwn(scripts, "prepublish") ? ["prepublish"] : []), ...group("prepare")];
}

/**
 * What has to run again over packages that were kept, since what it does may lie outside of them or come from the
 * repository's own files: the scripts of dependencies, then those of the project. Undefined where the package
 * manager has no way to do only that.
 */
export function runAgain(
  packages: Packages,
  { manifests, ignoresScripts }: Installation,
  scripted: readonly string[],
): Argv[] | undefined {
  if (ignoresScripts) return [];
  const { manager, run } = packages;
  const root = manifests.find(({ folder }) => folder === packages.folder);
  const others = manifests.some((one) => one !== root && lifecycle.some((name) => isOwn(one.scripts, name)));
  const events = ownEvents(root?.scripts ?? {});
  const names = [...new Set(scripted.map((folder) => /(?:@[^/]+\/)?[^/]+$/.exec(folder)?.[0] ?? ""))];
  if (names.length === 0 && events.length === 0 && !others) return [];
  if (others || !["npm", "pnpm"].includes(manager)) return undefined;
  return [
    ...(names.length > 0 ? [[...run, "rebuild", ...names] as const] : []),
    ...events.map((event) => [...run, "run", event] as const),
  ];
}

/**
 * Package managers make what a workspace names as its `bin` executable; git may not have it so. What is reached by
 * a link or lies outside is not the release's.
 */
export function makeExecutable(root: string, { manifests }: Installation): void {
  const real = realpathSync(root);
  for (const { folder, bin } of manifests)
    for (const path of bin) {
      const file = join(real, folder, path);
      if (
        existsSync(file) &&
        realpathSync(file) === file &&
        file.startsWith(real + sep) &&
        statSync(file).isFile()
      )
        chmodSync(file, 0o755);
    }
}
