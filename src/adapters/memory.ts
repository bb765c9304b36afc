import { readFileSync } from "node:fs";
import { totalmem } from "node:os";
import type { AppConfig } from "../config/schema.js";

const read = (path: string): string => {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
};

/** The sum of some lines of a file in /proc that count in kB. Bytes; undefined when none of them is there. */
function sum(text: string, names: RegExp): number | undefined {
  let bytes: number | undefined;
  for (const [, name = "", kilobytes] of text.matchAll(/^(\w+):\s+(\d+) kB/gm))
    if (names.test(name)) bytes = (bytes ?? 0) + Number(kilobytes) * 1024;
  return bytes;
}

/** What a process holds that is not only a copy of a file. Bytes. */
const held = (pid: number): number => sum(read(`/proc/${pid}/status`), /^(RssAnon|RssShmem|VmSwap)$/) ?? 0;

/** The same, what it shares with others divided among them; costs the kernel a walk over all its pages. */
const share = (pid: number): number =>
  sum(read(`/proc/${pid}/smaps_rollup`), /^(Pss_Anon|Pss_Shmem|SwapPss)$/) ?? held(pid);

const total = (pids: number[], of: (pid: number) => number): number =>
  pids.reduce((bytes, pid) => bytes + of(pid), 0);

/**
 * Do these processes together hold more than `limit` bytes? Forks share pages, which count once; asked twice, for a
 * share grows when another one ends between two readings.
 */
export const holdMore = (pids: number[], limit: number): boolean =>
  total(pids, held) > limit && total(pids, share) > limit && total(pids, share) > limit;

/** Memory and swap of the machine, or of the control group the daemon is in, where that has less. Bytes. */
function whole(): number {
  const machine = sum(read("/proc/meminfo"), /^(MemTotal|SwapTotal)$/) ?? totalmem();
  const group = process.constrainedMemory?.() || machine;
  return Math.min(machine, group);
}

/** An app's `limits.memory` in bytes. */
export const memoryLimit = (setting: AppConfig["limits"]["memory"]): number => {
  if (setting === false) return Number.POSITIVE_INFINITY;
  return typeof setting === "number" ? setting : (whole() * Number.parseInt(setting, 10)) / 100;
};
