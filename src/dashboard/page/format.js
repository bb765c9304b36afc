/** Times, sizes and words, as people read them. */

/** @param {number | undefined | null} ms */
export function duration(ms) {
  if (ms === undefined || ms === null || ms < 0) return "";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `${minutes} min ${Math.floor((ms % 60_000) / 1000)} s`;
  if (minutes < 2880) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1440)} days`;
}

/** @param {string} iso @param {number} [now] */
export function ago(iso, now = Date.now()) {
  const seconds = Math.max(0, (now - Date.parse(iso)) / 1000);
  if (seconds < 10) return "just now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  const days = Math.floor(seconds / 86_400);
  return days === 1 ? "yesterday" : `${days} days ago`;
}

/** @param {number} bytes */
export const megabytes = (bytes) => `${Math.round(bytes / 1_048_576)} MB`;

/** @param {string} sha */
export const short = (sha) => sha.slice(0, 7);

/** @param {string} text */
export const firstLine = (text) => text.split("\n", 1)[0]?.trim() ?? "";

/** @param {number} count @param {string} one @param {string} [many] */
export const plural = (count, one, many = `${one}s`) =>
  `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

/**
 * How each status of a deploy or a step looks and reads: never by its colour alone.
 * @type {Record<string, { word: string, sign: string, tone: string }>}
 */
const statuses = {
  queued: { word: "Queued", sign: "◦", tone: "calm" },
  pending: { word: "Pending", sign: "◦", tone: "calm" },
  running: { word: "Running", sign: "●", tone: "busy" },
  succeeded: { word: "Succeeded", sign: "✓", tone: "good" },
  failed: { word: "Failed", sign: "✕", tone: "bad" },
  rolled_back: { word: "Rolled back", sign: "↩", tone: "warn" },
  rollback_failed: { word: "Rollback failed", sign: "!", tone: "bad" },
  superseded: { word: "Superseded", sign: "»", tone: "calm" },
  canceled: { word: "Canceled", sign: "⊘", tone: "calm" },
  skipped: { word: "Skipped", sign: "–", tone: "calm" },
};

/** @param {string} status */
export const statusLook = (status) => statuses[status] ?? { word: status, sign: "?", tone: "calm" };

export const statusNames = Object.keys(statuses).filter((name) => name !== "pending");

/** @type {Record<string, string>} */
const triggers = {
  push: "push",
  request: "Actions",
  workflow_run: "workflow",
  release: "release",
  deployment: "deployment",
  manual: "by hand",
  rollback: "rollback",
};

/** @param {string} trigger */
export const triggerWord = (trigger) => triggers[trigger] ?? trigger;

/** @param {{ probes: number, failed: number, maxGapMs: number }} receipt */
export const receiptText = ({ probes, failed, maxGapMs }) =>
  `${failed.toLocaleString("en")} of ${plural(probes, "probe")} failed, longest gap ${duration(maxGapMs)}`;

/**
 * An app's health in a word, from what PM2 runs.
 * @param {{ live: { release: string } | null, pm2Error?: unknown, instances: { status: string, release?: string }[] }} app
 */
export function healthOf({ live, pm2Error, instances }) {
  if (pm2Error) return { word: "Unknown", sign: "?", tone: "warn" };
  const online = instances.filter(({ status }) => status === "online").length;
  const count = `${online} of ${instances.length} online`;
  if (instances.length === 0) {
    return live
      ? { word: "Down: no instance runs", sign: "✕", tone: "bad" }
      : { word: "Not deployed yet", sign: "◦", tone: "calm" };
  }
  if (online === 0) return { word: `Down: ${count}`, sign: "✕", tone: "bad" };
  if (online < instances.length) return { word: `Degraded: ${count}`, sign: "!", tone: "warn" };
  return { word: `Healthy: ${count}`, sign: "✓", tone: "good" };
}
