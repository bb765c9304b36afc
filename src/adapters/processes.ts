import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { createFamily, type Family } from "./family.js";

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended by itself in between.
  }
}

/** True while the group has a member; only for systems without /proc, where zombies cannot be told apart. */
function groupLives(leader: number): boolean {
  try {
    process.kill(-leader, 0);
    return true;
  } catch {
    return false;
  }
}

export interface ReapOptions {
  /** The process group's leader, which got the signal as a group. */
  leader?: number;
  /** The marker's family as it has been watched so far. */
  family?: Family;
  /** Milliseconds between TERM and KILL. */
  graceMs?: number;
}

/**
 * Ends every process of a marker: TERM, then KILL, until none is left. Gives the number of those that were
 * there. A process that not even KILL ends (in the kernel, on a dead disk) is given up after ten seconds.
 */
export async function reap(
  marker: string,
  { leader, family = createFamily(marker, leader), graceMs = 5_000 }: ReapOptions = {},
): Promise<number> {
  const left = (): number[] | undefined => {
    const seen = family.look();
    if (!seen && existsSync("/proc/self")) return undefined;
    if (!seen) return leader !== undefined && groupLives(leader) ? [-leader] : [];
    if (seen.pids.length > 0) return seen.pids;
    for (const pid of seen.keepers) send(pid, "SIGKILL");
    return seen.keepers;
  };
  const told = new Set<number>();
  let count: number | undefined;
  const killAt = performance.now() + graceMs;
  // Most often only the keeper is left, which is gone at once.
  let pause = 1;
  for (let now = performance.now(); now < killAt + 10_000; now = performance.now()) {
    const rest = left();
    count ??= rest?.length;
    if (rest?.length === 0) break;
    for (const pid of rest ?? []) {
      if (now >= killAt) send(pid, "SIGKILL");
      else if (!told.has(pid)) send(pid, "SIGTERM");
      told.add(pid);
    }
    pause = Math.min(pause * 2, now - killAt > 500 ? 100 : 20);
    await sleep(pause);
  }
  return count ?? 0;
}
