import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { removeTree } from "../remove-tree.js";
import { openEntry } from "./entry.js";

/** A branch's lockfile goes to and fro; more than these are not worth their room. */
const most = 3;
/** All but the newest together. Bytes. */
const mostBytes = 4 * (1 << 30);

/** Removes what no deploy will use again, and what a killed one has left. */
export async function tidy(folder: string, none: boolean): Promise<void> {
  if (!existsSync(folder)) return;
  const known = readdirSync(folder).map((name) => {
    const { read, readLent } = openEntry(join(folder, name));
    const entry = name.startsWith(".") ? undefined : (read() ?? readLent());
    return { name, entry, used: statSync(join(folder, name)).mtimeMs };
  });
  let count = 0;
  let bytes = 0;
  for (const { name, entry } of known.sort((a, b) => b.used - a.used)) {
    const fits = entry && count < most && (count === 0 || bytes + entry.bytes <= mostBytes);
    if (fits && !none) {
      count++;
      bytes += entry.bytes;
    } else await removeTree(join(folder, name));
  }
}
