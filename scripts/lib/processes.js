/** Linux's list of processes. */
import { readdirSync, readFileSync } from "node:fs";

/** A file of /proc, or nothing when its process has just gone. */
export const read = (path) => {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
};

/** Every living process with its parent. */
export function processes() {
  const all = new Map();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    // The command's name is in parentheses and may hold anything.
    const stat = read(`/proc/${name}/stat`);
    const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (state && state !== "Z" && state !== "X") all.set(Number(name), Number(parent));
  }
  return all;
}
