import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";

/** How rarely the folder is looked through, milliseconds: a burst ends thousands of deploys. */
const every = 60_000;

/** Removes the oldest logs beyond `keep`, now and then. Names sort by time, as deploys' ids do. */
export function createPrune({
  dir,
  keep,
  isLive,
}: {
  dir: string;
  keep: number;
  isLive: (id: string) => boolean;
}) {
  let last = Number.NEGATIVE_INFINITY;
  return async (): Promise<void> => {
    if (performance.now() - last < every) return;
    last = performance.now();
    const names = (await readdir(dir)).filter((name) => name.endsWith(".ndjson")).sort();
    for (const name of names.slice(0, -keep))
      if (!isLive(name.slice(0, -".ndjson".length))) await rm(join(dir, name), { force: true });
  };
}
