import { existsSync, readdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { removeTree } from "../remove-tree.js";
import { openEntry } from "./entry.js";

/** A branch's lockfile goes to and fro; more than these are not worth their room. */
const most = 3;
/** All but the newest together. Bytes. */
const mostBytes = 4 * (1 << 30);

const trashPrefix = ".trash-";

/** Removes what a killed deploy has left, and throws away what none will use again. */
export async function tidy(folder: string, none: boolean): Promise<void> {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) if (name.startsWith(".")) await removeTree(join(folder, name));
  const known = readdirSync(folder).map((name) => {
    const { read, readLent } = openEntry(join(folder, name));
    return { name, entry: read() ?? readLent(), used: statSync(join(folder, name)).mtimeMs };
  });
  let count = 0;
  let bytes = 0;
  for (const { name, entry } of known.sort((a, b) => b.used - a.used)) {
    const fits = entry && count < most && (count === 0 || bytes + entry.bytes <= mostBytes);
    if (fits && !none) {
      count++;
      bytes += entry.bytes;
    } else renameSync(join(folder, name), join(folder, trashPrefix + name));
  }
}

/** Removes what was thrown away. */
export async function sweep(folder: string): Promise<void> {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder))
    if (name.startsWith(trashPrefix)) await removeTree(join(folder, name));
}
