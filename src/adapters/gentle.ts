import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { cleanEnvironment } from "./environment.js";

/** The kernel's number of SCHED_IDLE, and of the policy of everything else. */
const idle = 5;
const other = 0;

/** Above this share of all cores' time, what is not ours keeps the machine busy. */
const busy = 0.9;
const calm = 0.7;
/** For so many looks without a break, and a command at idle priority would stand still. */
const patience = 20;

/** The nice level that commands start with, and their session's while they have idle priority. */
export const niceLevel = 10;
const lowest = 19;

/**
 * The time slice (milliseconds) that a command's processes ask for, well above every default (0.7 to 3 ms, 10 on hosts tuned
 * for throughput). Since Linux 6.12 whoever wakes up with a shorter slice need not wait for the end of a longer one, also between
 * sessions, where idle priority does not count. It changes when a command gets the processor and not how much of it, so any
 * user may ask for it and nothing has to be taken back.
 */
export const sliceMs = 20;

interface Process {
  policy: number;
  session: number;
  /** Processor time so far, milliseconds. */
  used: number;
}

function processOf(pid: number): Process | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    const used = (Number(fields[11]) + Number(fields[12])) * 10;
    return { policy: Number(fields[38]), session: Number(fields[3]), used };
  } catch {
    return undefined;
  }
}

/**
 * May what was given idle priority be taken back from there? The kernel lets only those who may have the nice level
 * (`LimitNICE=+19` of a systemd unit, or root).
 */
export function mayReturn(limits = readLimits(), uid = process.getuid?.()): boolean {
  const [, soft] = /^Max nice priority +(\S+)/m.exec(limits) ?? [];
  return uid === 0 || soft === "unlimited" || Number(soft) >= 10;
}

function readLimits(): string {
  try {
    return readFileSync("/proc/self/limits", "latin1");
  } catch {
    return "";
  }
}

function apply(policy: number, pids: readonly number[]): void {
  const script = 'how=$1; shift; for pid; do chrt --all-tasks "$how" --pid 0 "$pid" 2>/dev/null; done';
  const how = policy === idle ? "--idle" : "--other";
  const args = ["-c", script, "chrt", how, ...pids.map(String)];
  spawn("/bin/sh", args, { env: cleanEnvironment(), stdio: "ignore" }).once("error", () => {});
}

/**
 * Where the kernel shares processor time between sessions (`kernel.sched_autogroup_enabled`, and neither a container nor a
 * unit's share), a nice level and even idle priority count within a session only, and a session's own level among
 * sessions. Any user may set that of a session of theirs.
 */
function applyToSession(level: number, pid: number): boolean {
  try {
    writeFileSync(`/proc/${pid}/autogroup`, String(level));
    return true;
  } catch (error) {
    // Users other than root may do this ten times a second, all of them together.
    return (error as NodeJS.ErrnoException).code !== "EAGAIN";
  }
}

export interface Gentle {
  /** Called every now and then with all processes of the command. */
  look(pids: readonly number[]): void;
}

/**
 * Gives a command's processes SCHED_IDLE, in front of which a request to the live app never waits, while a nice level
 * leaves it waiting for the end of a slice. On a machine that others keep busy they would get nothing at all then: there they go
 * back to their nice level, for the rest of the command. Where that could not be done only the sessions' levels change,
 * which always can.
 */
export function createGentle({
  processOf: find = processOf,
  cores = cpus,
  set = apply,
  setSession = applyToSession,
  allowed = mayReturn(),
}: {
  processOf?: (pid: number) => Process | undefined;
  cores?: () => { times: { idle: number; user: number; nice: number; sys: number; irq: number } }[];
  set?: (policy: number, pids: readonly number[]) => void;
  /** Of the session that `pid` is in; false where it has to be tried again. */
  setSession?: (level: number, pid: number) => boolean;
  allowed?: boolean;
} = {}): Gentle {
  let before = total(cores());
  let used = new Map<number, number>();
  let crowded = 0;
  let given = true;
  const levels = new Map<number, number>();
  const own = find(process.pid)?.session;

  return {
    look(pids) {
      const found = pids.flatMap((pid) => {
        const one = find(pid);
        return one ? [{ pid, ...one }] : [];
      });
      const now = total(cores());
      const all = now.all - before.all;
      const ours = found.reduce((sum, { pid, used: to }) => sum + Math.max(0, to - (used.get(pid) ?? 0)), 0);
      const others = all > 0 ? (all - (now.idle - before.idle) - ours) / all : 1;
      before = now;
      used = new Map(found.map(({ pid, used: to }) => [pid, to]));
      crowded = others > busy ? crowded + 1 : 0;
      if (crowded >= patience) given = false;
      if (given && others > calm) return;
      const level = given ? lowest : niceLevel;
      for (const { pid, session } of found)
        if (session !== own && levels.get(session) !== level && setSession(level, pid))
          levels.set(session, level);
      if (!allowed) return;
      const wanted = given ? idle : other;
      const wrong = found.filter(({ policy }) => policy === (given ? other : idle)).map(({ pid }) => pid);
      if (wrong.length > 0) set(wanted, wrong);
    },
  };
}

function total(cores: { times: { idle: number; user: number; nice: number; sys: number; irq: number } }[]) {
  let [all, idleTime] = [0, 0];
  for (const { times } of cores) {
    idleTime += times.idle;
    all += times.idle + times.user + times.nice + times.sys + times.irq;
  }
  return { all, idle: idleTime };
}
