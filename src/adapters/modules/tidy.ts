import { existsSync, readdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { removeTrees } from "../remove-tree.js";
import { trashIn, trashOf } from "../trash.js";
import { openEntry } from "./entry.js";

/** A branch's lockfile goes to and fro; more than these are not worth their room. */
const most = 3;
/** All but the newest together. Bytes. */
const mostBytes = 4 * (1 << 30);

const namesIn = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder) : []);

/** Throws away what none will use again, and removes what a killed deploy has left. */
export async function tidy(folder: string, none: boolean): Promise<void> {
  const names = namesIn(folder);
  const left = names.filter((name) => name.startsWith("."));
  const known = names
    .filter((name) => !name.startsWith("."))
    .map((name) => {
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
    } else renameSync(join(folder, name), trashOf(folder, name));
  }
  await removeTrees(left.map((name) => join(folder, name)));
}

/** Removes what was thrown away. */
export const sweep = (folder: string): Promise<void> => removeTrees(trashIn(folder));
