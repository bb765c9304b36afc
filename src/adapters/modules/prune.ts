import { cpSync, existsSync, lstatSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Release } from "../../domain/release.js";
import { removeTree } from "../remove-tree.js";
import type { Entry, KeptEntry } from "./entry.js";
import { namesBelow, replacePlace } from "./files.js";

/** What package managers write about what they have installed, and so write anew when they take something out. */
const notes =
  /(?:^|\/)(?:\.package-lock\.json|\.modules\.yaml|\.pnpm-workspace-state[^/]*\.json|\.pnpm\/lock\.yaml|\.yarn-integrity|\.yarn-state\.yml|\.bin\/[^/]+)$/;

const isThere = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined;

function move(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  renameSync(from, to);
}

/** Only of those that lead on is the parent there: `a/b` and not also `a/b/c`. */
const outermost = (gone: Set<string>): string[] =>
  [...gone].filter((path) => !gone.has(dirname(path))).sort();

/** Two files, of which one may have been adapted to another folder. */
function isSameText(one: string, place: string, other: string, otherPlace: string): boolean {
  try {
    const text = (file: string, its: string) => readFileSync(file, "utf8").replaceAll(its, "");
    return text(one, place) === text(other, otherPlace);
  } catch {
    return false;
  }
}

/**
 * Runs the package manager's prune and sees what it takes out of a release; arranges what is kept of it
 * accordingly, so that the next deploy needs no prune: what goes is lent to the release, what stays is copied.
 */
export async function learnPrune(
  kept: KeptEntry,
  entry: Entry,
  release: Release,
  prune: () => Promise<void>,
): Promise<Required<Entry>["prune"]> {
  const before = await namesBelow(release.path, entry.paths);
  await prune();
  const after = await namesBelow(release.path, entry.paths);
  const gone = new Set([...before].filter((path) => !after.has(path)));
  for (const path of entry.paths) if (!existsSync(join(release.path, path))) gone.add(path);
  // Below a folder that is not kept nothing is: what the build has added needs no look.
  const removed = outermost(gone).filter((path) => isThere(join(kept.stay, path)));
  // What a script writes when it runs again must not be written into what is only lent.
  const writes = (path: string) => entry.scripted.some((one) => `${one}/`.startsWith(`${path}/`));
  // Moving a file changes its status time, by which it is known; moving a folder changes nothing inside.
  const isMovable = (path: string) => !lstatSync(join(kept.stay, path)).isFile();
  const lent = removed.filter((path) => !writes(path) && !notes.test(path) && isMovable(path));
  const changed = [...after].filter(
    (path) =>
      notes.test(path) &&
      lstatSync(join(release.path, path)).isFile() &&
      !isSameText(join(release.path, path), release.path, join(kept.stay, path), entry.place),
  );
  for (const path of lent) move(join(kept.stay, path), join(kept.go, path));
  for (const path of changed) {
    mkdirSync(dirname(join(kept.change, path)), { recursive: true });
    cpSync(join(release.path, path), join(kept.change, path), { preserveTimestamps: true });
    replacePlace(join(kept.change, path), release.path, entry.place);
  }
  return { lent, dropped: removed.filter((path) => !lent.includes(path)), changed };
}

/** Moves what was lent back to where it is kept. False when something of it is no longer there. */
export function takeBack(kept: KeptEntry, entry: Entry, release: Release): boolean {
  const lent = entry.prune?.lent ?? [];
  if (!lent.every((path) => isThere(join(release.path, path)))) return false;
  for (const path of lent) move(join(release.path, path), join(kept.go, path));
  for (const text of entry.texts) {
    const file = join(kept.go, text);
    if (isThere(file)) replacePlace(file, release.path, entry.place);
  }
  return true;
}

/**
 * Does to a release what the package manager's prune did to another one with the very same packages. False when
 * the build has changed what is installed: then only the package manager knows.
 */
export async function slimDown(kept: KeptEntry, entry: Entry, release: Release): Promise<boolean> {
  const { prune } = entry;
  if (!prune) return false;
  const untouched = prune.changed.every(
    (path) =>
      // Written by the prune and not there before it.
      !isThere(join(kept.stay, path)) ||
      isSameText(join(release.path, path), release.path, join(kept.stay, path), entry.place),
  );
  if (!untouched || !takeBack(kept, entry, release)) return false;
  for (const path of prune.dropped) await removeTree(join(release.path, path));
  for (const path of prune.changed) {
    const file = join(release.path, path);
    mkdirSync(dirname(file), { recursive: true });
    cpSync(join(kept.change, path), file, { preserveTimestamps: true });
    replacePlace(file, entry.place, release.path);
  }
  return true;
}
