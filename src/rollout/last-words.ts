import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import type { Pm2Process } from "./pm2.js";

const bytes = 4096;
const lines = 20;

/**
 * The end of an instance's own error log, for one that ended when nobody listened to it. Empty when PM2 keeps none,
 * or nothing was written since the instance was started (the file is that of its number, and older releases'
 * too).
 */
export function lastWords({ raw, startedAt }: Pm2Process): string {
  const path = raw.pm_err_log_path;
  if (typeof path !== "string") return "";
  try {
    const file = openSync(path, "r");
    try {
      const { size, mtimeMs } = fstatSync(file);
      if (mtimeMs < Number(raw.created_at ?? startedAt)) return "";
      const end = Buffer.alloc(Math.min(bytes, size));
      readSync(file, end, 0, end.length, size - end.length);
      return `${end.toString("utf8").trimEnd().split("\n").slice(-lines).join("\n")}\n`;
    } finally {
      closeSync(file);
    }
  } catch {
    return "";
  }
}
