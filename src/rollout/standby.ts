import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Target } from "./types.js";

/** Set for an instance that is to boot and not to accept yet: as long as this file is there, its preload waits. */
const variable = "DROPLESS_STANDBY";

/**
 * Lets instances boot side by side while only one of them accepts. A file that is there holds one back, so that
 * whatever is lost (the file, the daemon, the release's folder) lets it go, and one that PM2 starts again later
 * does not wait.
 */
export function createStandby({ release, deploy }: Target) {
  const fileOf = (number: number) => join(release.path, ".dropless", `standby-${deploy}-${number}`);
  const held = new Set<number>();
  const lift = (numbers: Iterable<number>) => {
    for (const number of numbers) {
      rmSync(fileOf(number), { force: true });
      held.delete(number);
    }
  };
  return {
    /** What one of that number needs in its environment, to be held back from now on. */
    hold(number: number): Record<string, string> {
      writeFileSync(fileOf(number), "");
      held.add(number);
      return { [variable]: fileOf(number) };
    },
    /** Those of an earlier run of this deploy, which was killed, included. */
    lift,
    liftAll: () => lift([...held]),
  };
}
