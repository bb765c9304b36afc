import { readFileSync, realpathSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/** As /proc writes them: a space is `\040`. */
const plain = (path: string): string =>
  path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

function read(): string {
  try {
    return readFileSync("/proc/self/mountinfo", "utf8");
  } catch {
    // Not on this system.
    return "";
  }
}

/** The mount points at and below a path that exists; of a link itself, not of where it leads. */
export function mountsIn(path: string, table = read()): string[] {
  const real = join(realpathSync(dirname(path)), basename(path));
  return table
    .split("\n")
    .map((line) => plain(line.split(" ", 5)[4] ?? ""))
    .filter((mount) => mount === real || mount.startsWith(`${real}/`));
}
