import { readdirSync, readFileSync } from "node:fs";
import { keeperName } from "./keeper.js";

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
  /** With the pid it names one process for ever: pids are used again. */
  started: string;
}

/** `/proc/<pid>/stat` without zombies; undefined when the process is gone (or there is no /proc). */
function stat(pid: number): Seen | "kernel" | undefined {
  try {
    // Whatever its name is: Node reads UTF-8 at half the cost of Latin 1, and all processes are read each time.
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    const [state, parent, group, session] = fields;
    if (state === "Z" || state === "X") return undefined;
    if (group === "0" && (parent === "2" || pid === 2)) return "kernel";
    const started = fields[19] ?? "";
    return { pid, parent: Number(parent), group: Number(group), session: Number(session), started };
  } catch {
    return undefined;
  }
}

const read = (path: string): string => {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
};

const environ = (pid: number): string => `\0${read(`/proc/${pid}/environ`)}`;

const isKeeper = (pid: number): boolean => read(`/proc/${pid}/cmdline`).startsWith(`${keeperName}\0`);

/** An app, or the daemon of PM2: a hook may well have called `pm2`, and what serves is never a command's. */
const isOfPm2 = (pid: number): boolean =>
  environ(pid).includes("\0pm_id=") || read(`/proc/${pid}/cmdline`).startsWith("PM2 ");

/**
 * All processes but the kernel's own. Those are most of a machine's, and `kernel` keeps them between looks, so that they are read
 * once: pids are given in a circle, too long for one of them to be somebody else's at the next look.
 */
function everyone(kernel: Set<number>): Seen[] | undefined {
  try {
    const pids = readdirSync("/proc").map(Number).filter(Number.isInteger);
    const there = new Set(pids);
    for (const pid of kernel) if (!there.has(pid)) kernel.delete(pid);
    return pids.flatMap((pid) => {
      const seen = kernel.has(pid) ? "kernel" : stat(pid);
      if (seen === "kernel") kernel.add(pid);
      return seen === "kernel" || !seen ? [] : [seen];
    });
  } catch {
    return undefined;
  }
}

/** All that a command started, however far away it went. */
export interface Family {
  /**
   * Pids of those that live; and of the keepers, which take in the orphans of the others and are to end last.
   * Undefined when nothing can be seen: no /proc, or not one more file may be opened.
   */
  look(): { pids: number[]; keepers: number[] } | undefined;
}

/**
 * The processes of a marker, and of the session and group of `leader` where one is given; their children, and
 * whoever is in a session that one of them began. What was seen once stays known by its pid and start, so that a
 * process which leaves its session, cleans its environment and loses its parent is still found, provided it was
 * looked for before it had done all three.
 */
export function createFamily(marker: string, leader?: number): Family {
  const known = new Map<number, string>();
  const strangers = new Map<number, string>();
  const kernel = new Set<number>();
  const sessions = new Set(leader === undefined ? [] : [leader]);

  const isMarked = ({ pid, started }: Seen): boolean => {
    if (strangers.get(pid) === started) return false;
    const environment = environ(pid);
    if (environment.includes(`\0${markerName}=${marker}\0`)) return true;
    // It is inherited at birth: who is without will stay so. (In the middle of an exec there is nothing to read.)
    if (environment.length > 1) strangers.set(pid, started);
    return false;
  };

  return {
    look() {
      const all = everyone(kernel)?.filter(({ pid }) => pid !== process.pid);
      if (!all) return undefined;
      const members = new Map<number, Seen>();
      const others = new Set<number>();
      const isOurs = (one: Seen): boolean =>
        known.get(one.pid) === one.started ||
        sessions.has(one.session) ||
        one.group === leader ||
        members.has(one.parent) ||
        isMarked(one);
      for (let before = -1; before < members.size; ) {
        before = members.size;
        for (const one of all) {
          if (members.has(one.pid) || others.has(one.pid) || !isOurs(one)) continue;
          if (isOfPm2(one.pid)) {
            others.add(one.pid);
            sessions.delete(one.pid);
          } else {
            members.set(one.pid, one);
            if (one.session === one.pid) sessions.add(one.pid);
          }
        }
      }
      const living = new Set(all.map(({ session }) => session));
      for (const session of sessions) if (!living.has(session)) sessions.delete(session);
      const pids = new Set(all.map(({ pid }) => pid));
      for (const pid of strangers.keys()) if (!pids.has(pid)) strangers.delete(pid);
      known.clear();
      for (const { pid, started } of members.values()) known.set(pid, started);
      const found = [...members.keys()];
      const keepers = found.filter(isKeeper);
      return { pids: found.filter((pid) => !keepers.includes(pid)), keepers };
    },
  };
}
