import { closeSync, fdatasync, fdatasyncSync, openSync } from "node:fs";
import { promisify } from "node:util";

const sync = promisify(fdatasync);

/**
 * What SQLite does at the end of a commit with synchronous=FULL, and leaves to us with NORMAL: the write-ahead log
 * to the disk. Here it can be waited for without holding up the event loop, and one sync serves every commit before
 * it. SQLite locks the other two of its files only, so that closing this one a second time takes no lock away.
 */
export function createSync(database: string) {
  let opened: number | undefined;
  // Not there before the first commit, and the same file until the last connection closes.
  const file = (): number => {
    opened ??= openSync(`${database}-wal`, "r");
    return opened;
  };
  return {
    soon: async (): Promise<void> => sync(file()),
    now: (): void => fdatasyncSync(file()),
    close(): void {
      if (opened !== undefined) closeSync(opened);
    },
  };
}
