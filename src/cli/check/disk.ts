import { readFileSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { freemem } from "node:os";
import { bytes } from "../format.js";
import { about, type Check, type Finding, processesOf } from "./finding.js";
import { nearest } from "./folders.js";

const megabyte = 1024 * 1024;

async function room(path: string): Promise<Finding> {
  const on = about("disk");
  const fs = await statfs(nearest(path));
  const free = fs.bavail * fs.bsize;
  const inodes = fs.files > 0 ? fs.ffree / fs.files : 1;
  const hint = "Free some, or lower the apps' `keep`: each release has its own node_modules.";
  if (free < 300 * megabyte) return on.fault(`only ${bytes(free)} are free below ${path}`, hint);
  if (inodes < 0.03)
    return on.fault(`only ${Math.round(inodes * 100)}% of the inodes are free below ${path}`, hint);
  if (free < 2048 * megabyte) return on.warning(`${bytes(free)} are free below ${path}`, hint);
  return on.ok(`${bytes(free)} are free below ${path}`);
}

/** What a new process could take without swapping: Linux's own estimate, which counts what caches would give back. */
function availableMemory(): number {
  try {
    const [, kilobytes] = /^MemAvailable:\s+(\d+) kB/m.exec(readFileSync("/proc/meminfo", "utf8")) ?? [];
    return kilobytes ? Number(kilobytes) * 1024 : freemem();
  } catch {
    return freemem();
  }
}

export const checkDisk: Check = async ({ config, processes }) => {
  const paths = [...new Set([config.dataDir, ...Object.values(config.apps).map((app) => app.root)])];
  const findings = await Promise.all(paths.map(room));
  const seen = new Map(findings.map((finding) => [finding.message.replace(/ below .*/, ""), finding]));
  const available = availableMemory();
  // What PM2 says of itself is another check's business.
  const running = await processes().catch(() => []);
  const memory = Object.values(config.apps).flatMap((app) => {
    const largest = Math.max(0, ...processesOf(app, running).map((one) => one.memoryBytes));
    if (largest === 0 || available > 2 * largest) return [];
    return about(app.name).warning(
      `an instance takes ${bytes(largest)} and ${bytes(available)} of memory are available: a rollout runs new beside old`,
      "Add memory or swap, or set rollout.surge: 1.",
    );
  });
  return [...seen.values(), ...memory];
};
