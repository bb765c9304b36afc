import { withoutColour } from "./text.js";

/** Milliseconds for people: `340ms`, `4.2s`, `1m 03s`, `2h 05m`. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))}ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)}s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${String(seconds % 60).padStart(2, "0")}s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)}h ${String(minutes % 60).padStart(2, "0")}m`;
  return `${Math.round(minutes / 1440)} days`;
}

/** How long a step took, and of that dropless itself: `3.2s (own 0.1s)`. Empty for one that has not ended. */
export const stepTime = ({ durationMs, ownMs }: { durationMs?: number; ownMs?: number }): string =>
  durationMs === undefined
    ? ""
    : duration(durationMs) + (ownMs === undefined ? "" : ` (own ${ticking(ownMs)})`);

/** The same for what still goes on: tenths from the start, so that it counts up without a jump. */
export const ticking = (ms: number): string =>
  ms < 1000 ? `${(Math.max(0, ms) / 1000).toFixed(1)}s` : duration(ms);

/** How long ago, one unit: `now`, `12s`, `5m`, `3h`, `9d`. */
export function ago(time: string, now: number): string {
  const seconds = Math.max(0, Math.round((now - Date.parse(time)) / 1000));
  if (seconds < 2) return "now";
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

export function bytes(count: number): string {
  if (count < 1024) return `${count} B`;
  const units = ["KB", "MB", "GB", "TB"];
  let value = count / 1024;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export const shortSha = (sha: string): string => sha.slice(0, 7) || "-";

export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${count} ${count === 1 ? one : many}`;

/** `refs/heads/main` → `main`. */
export const shortRef = (ref: string): string => ref.replace(/^refs\/(heads|tags)\//, "");

/** Rows below a header, in columns as wide as they need; no blanks at the ends of lines. */
export function table(rows: string[][]): string[] {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, withoutColour(cell).length);
    });
  return rows.map((row) =>
    row
      .map((cell, i) => cell + " ".repeat((widths[i] ?? 0) - withoutColour(cell).length))
      .join("  ")
      .trimEnd(),
  );
}
