import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Fault } from "../../domain/fault.js";

export interface God {
  pid: number;
  /** `7.0.4`; empty when its title does not say. */
  version: string;
}

const read = (file: string): string | undefined => {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
};

/** Is this process a God daemon of that home? Its title names the home: `PM2 v7.0.4: God Daemon (/home/app/.pm2)`. */
function asGod(pid: number, pm2Home: string): God | undefined {
  const title = read(`/proc/${pid}/cmdline`)?.replace(/\0+/g, " ").trim();
  if (!title) return undefined;
  // A zombie has ended, although its pid is still taken.
  if (/^State:\s+Z/m.test(read(`/proc/${pid}/status`) ?? "")) return undefined;
  const named = /^PM2 v(\S+): God Daemon \((.*)\)?/.exec(title);
  if (named) {
    const home = (named[2] ?? "").replace(/\)$/, "");
    return home === pm2Home ? { pid, version: named[1] ?? "" } : undefined;
  }
  // Before it has set its title, and when the title did not fit into the space of the arguments.
  if (/\/pm2\/lib\/Daemon\.js/.test(title) || title.startsWith("PM2 v")) {
    const environment = read(`/proc/${pid}/environ`)?.split("\0") ?? [];
    return environment.includes(`PM2_HOME=${pm2Home}`) ? { pid, version: "" } : undefined;
  }
  return undefined;
}

/**
 * The God daemon of `pm2Home`, by its pid file, else by a look at every process (the file may have been
 * removed). Throws `pm2_foreign` when it runs as another user.
 */
export function findGod(pm2Home: string): God | undefined {
  const filed = Number(read(join(pm2Home, "pm2.pid")) ?? 0);
  const candidates = filed > 0 ? [filed] : [];
  let god: God | undefined;
  for (const pid of candidates) god ??= asGod(pid, pm2Home);
  if (!god) {
    for (const entry of readdirSync("/proc")) {
      if (/^\d+$/.test(entry)) god ??= asGod(Number(entry), pm2Home);
    }
  }
  if (!god) return undefined;
  const owner = statSync(`/proc/${god.pid}`, { throwIfNoEntry: false })?.uid;
  if (owner === undefined) return undefined;
  if (owner !== process.getuid?.()) {
    throw new Fault(
      "pm2_foreign",
      `PM2 in ${pm2Home} runs as user ${owner} and dropless as user ${process.getuid?.()}`,
      "Run dropless as the user who runs PM2, or set pm2Home to the PM2 of this user.",
    );
  }
  return god;
}

/** Has the God daemon of that home ended without saying so? Its pid file is there, and nobody of that pid. */
export const crashed = (pm2Home: string): boolean =>
  read(join(pm2Home, "pm2.pid")) !== undefined && findGod(pm2Home) === undefined;

/** Milliseconds. */
const goneMs = 10_000;

/**
 * Ends what a God daemon that was killed has left: instances of ours that live on without it (`pmx: false` in
 * fork mode) and would hold their port against those that are brought back.
 */
export async function endOrphans(pm2Home: string): Promise<void> {
  const left = () =>
    readdirSync("/proc")
      .filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid)
      .filter((entry) => {
        const environment = read(`/proc/${entry}/environ`)?.split("\0") ?? [];
        return (
          environment.includes(`PM2_HOME=${pm2Home}`) &&
          environment.some((one) => one.startsWith("pm_id=")) &&
          environment.some((one) => one.startsWith("DROPLESS_APP="))
        );
      })
      .map(Number);
  const send = (pid: number, signal: NodeJS.Signals) => {
    try {
      process.kill(pid, signal);
    } catch {
      // It has ended by itself.
    }
  };
  for (const pid of left()) send(pid, "SIGINT");
  for (const until = performance.now() + goneMs; left().length > 0 && performance.now() < until; )
    await sleep(50);
  for (const pid of left()) send(pid, "SIGKILL");
}
