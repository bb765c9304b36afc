import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * The variable by which a command's processes are found again, also those that left its process group and
 * those whose daemon was killed. Its value is the same for every command of one deploy.
 */
export const markerName = "DROPLESS_COMMAND";

interface Seen {
  pid: number;
  parent: number;
  group: number;
  session: number;
}

/** `/proc/<pid>/stat` without zombies; undefined when the process is gone (or there is no /proc). */
function stat(pid: number): Seen | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    const [state, parent, group, session] = text.slice(text.lastIndexOf(")") + 2).split(" ");
    if (state === "Z" || state === "X") return undefined;
    return { pid, parent: Number(parent), group: Number(group), session: Number(session) };
  } catch {
    return undefined;
  }
}

/** Carries the marker, and is not an app or the daemon of PM2 (a hook may well have called `pm2`). */
function isMarked(pid: number, marker: string): boolean {
  try {
    const environment = `\0${readFileSync(`/proc/${pid}/environ`, "latin1")}`;
    if (!environment.includes(`\0${markerName}=${marker}\0`)) return false;
    if (environment.includes("\0pm_id=")) return false;
    return !readFileSync(`/proc/${pid}/cmdline`, "latin1").startsWith("PM2 ");
  } catch {
    return false;
  }
}

const pids = (): number[] => {
  try {
    return readdirSync("/proc").map(Number).filter(Number.isInteger);
  } catch {
    return [];
  }
};

/** Every living process of the marker, and of the process group `leader` where one is given. */
function find(marker: string, leader?: number): number[] {
  const found = new Set<number>();
  const seen = pids()
    .map(stat)
    .filter((process) => process !== undefined);
  for (const process of seen) {
    if (process.pid === globalThis.process.pid) continue;
    if (leader !== undefined && (process.group === leader || process.session === leader))
      found.add(process.pid);
    else if (isMarked(process.pid, marker)) found.add(process.pid);
  }
  return [...found];
}

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
  /** Milliseconds between TERM and KILL. */
  graceMs?: number;
}

/**
 * Ends every process of a marker: TERM, then KILL, until none is left. Gives the number of those that were
 * there. A process that not even KILL ends (in the kernel, on a dead disk) is given up after ten seconds.
 */
export async function reap(marker: string, { leader, graceMs = 5_000 }: ReapOptions = {}): Promise<number> {
  const left = () => {
    const found = find(marker, leader);
    if (found.length === 0 && leader !== undefined && pids().length === 0 && groupLives(leader))
      return [-leader];
    return found;
  };
  const first = left();
  if (first.length === 0) return 0;
  const told = new Set<number>();
  const killAt = Date.now() + graceMs;
  for (let now = Date.now(); now < killAt + 10_000; now = Date.now()) {
    const rest = left();
    if (rest.length === 0) break;
    for (const pid of rest) {
      if (now >= killAt) send(pid, "SIGKILL");
      else if (!told.has(pid)) send(pid, "SIGTERM");
      told.add(pid);
    }
    await sleep(now - killAt > 500 ? 100 : 20);
  }
  return first.length;
}
