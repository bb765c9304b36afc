import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** What is known of one installation that is kept. Paths are relative to the release. */
export interface Entry {
  format: 1;
  /** Path of the release it was installed into. */
  place: string;
  /** The outermost `node_modules` folders. */
  paths: string[];
  /** Files that hold `place`. */
  texts: string[];
  /** Folders of packages with scripts for their installation. */
  scripted: string[];
  bytes: number;
  /** Nothing is kept of it, for nobody could use it. */
  unfit?: true;
  digest: string;
  /** What the package manager's prune does, once that is known. */
  prune?: {
    /** Moved into the release for the build, and back after it: in `go`, everything else is in `stay`. */
    lent: string[];
    /** Copied, and removed. */
    dropped: string[];
    /** The package manager's own notes, which it writes anew: in `change`. */
    changed: string[];
  };
}

/**
 * One folder below `<root>/cache/modules`. It counts only while its `entry.json` is there, and that is away while
 * anything of it is being moved or is lent to a release: whatever dies then leaves nothing that could be used.
 */
export function openEntry(folder: string) {
  const file = join(folder, "entry.json");
  const lent = join(folder, "lent.json");
  const read = (path: string): Entry | undefined => {
    try {
      const entry = JSON.parse(readFileSync(path, "utf8")) as Entry;
      return entry.format === 1 ? entry : undefined;
    } catch {
      return undefined;
    }
  };
  return {
    folder,
    stay: join(folder, "stay"),
    go: join(folder, "go"),
    change: join(folder, "change"),
    exists: () => existsSync(folder),
    read: () => read(file),
    readLent: () => read(lent),
    lend: () => renameSync(file, lent),
    settle(entry: Entry) {
      writeFileSync(`${file}.new`, JSON.stringify(entry), { flush: true });
      renameSync(`${file}.new`, file);
      rmSync(lent, { force: true });
    },
  };
}

export type KeptEntry = ReturnType<typeof openEntry>;
