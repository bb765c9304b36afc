import { Fault } from "../domain/fault.js";

// biome-ignore lint/complexity/useRegexLiterals: an escape character in a literal is easily lost
const ansi = new RegExp("\\u001b\\[[0-9;]*m", "g");

/**
 * The line of a crash's output that says most: of Node's report the line `Error: …`, else the first one that
 * names an error, else the last.
 */
export function errorLine(output: string): string {
  const lines = output
    .replace(ansi, "")
    .split("\n")
    .map((line) => line.trim().replace(/^\(node:\d+\) UnhandledPromiseRejectionWarning: /, ""))
    .filter((line) => line !== "" && !line.startsWith("at ") && !/^Node\.js v\d/.test(line));
  const found =
    lines.find((line) => /^(?:Uncaught )?(?:[A-Z]\w*)?(?:Error|Exception)\b.*:/.test(line)) ??
    lines.find((line) => /\berror\b/i.test(line)) ??
    lines.at(-1) ??
    "";
  return found.length > 300 ? `${found.slice(0, 299)}…` : found;
}

/**
 * An app whose `main` was rejected, and that nobody ends for it (so PM2 in cluster mode): when it does not listen
 * that long after, it never will. Milliseconds.
 */
export const stuckMs = 2000;

const because = (output: string): string => {
  const line = errorLine(output);
  return line === "" ? "and printed nothing" : `with: ${line}`;
};

/** PM2 keeps an app whose `listen` failed with an unhandled rejection: it is online, and listens nowhere. */
const portInUse = (who: string, output: string): Fault | undefined => {
  const [, where] = /EADDRINUSE[^\n]{0,99}?((?:[\d.:a-fA-F]{1,45}:)?\d{1,5})\b/.exec(output) ?? [];
  if (where === undefined) return undefined;
  return new Fault(
    "port_in_use",
    `${who} could not listen on ${where}, which is in use`,
    "See by whom with `ss -ltnp`. When it is the release that runs, on another address: both cannot be there at once. Put the address back, or type `pm2 stop NAME` while the next deploy is in preflight, for a gap of some seconds.",
  );
};

export const crashedAtBoot = (who: string, output: string, exitCode?: number): Fault =>
  portInUse(who, output) ??
  new Fault(
    "crashed_at_boot",
    // PM2 often says 0 of a cluster instance that threw.
    `${who} crashed while booting${exitCode ? ` (exit code ${exitCode})` : ""} ${because(output)}`,
    "The log has its whole output; boot it with the same environment to see it again.",
  );

export const died = (who: string, output: string): Fault =>
  new Fault(
    "died",
    `${who} listened and then ended by itself, ${because(output)}`,
    "The log has its whole output; look for what happens some seconds after the boot.",
  );

export const neverListened = (who: string, port: number, ms: number, output: string): Fault =>
  portInUse(who, output) ??
  new Fault(
    "never_listened",
    `${who} did not listen on port ${port} within ${Math.round(ms / 1000)} s`,
    "See in the log what it waits for; raise health.ready when its boot takes that long.",
  );

export const listensElsewhere = (who: string, port: number, found: number[]): Fault =>
  new Fault(
    "listens_elsewhere",
    `${who} listens on port ${found.join(" and ")} instead of ${port}`,
    "Set `port` to the port the app listens on, or PORT in its `env`.",
  );

export const unhealthy = (who: string, path: string, what: string): Fault =>
  new Fault(
    "unhealthy",
    `${who} is not healthy: GET ${path} ${what}`,
    "The log has its output; health.path names the route that is asked, health.ready how long it may take.",
  );

export const scriptMissing = (script: string): Fault =>
  new Fault(
    "script_missing",
    `the release has no file ${script}`,
    "See `script` in the app's pm2 settings or ecosystem file, and whether the build makes that file.",
  );

export const diedInWatch = (why: string): Fault =>
  new Fault(
    "died_in_watch",
    `after it went live, ${why}`,
    "The log has its output from then on; health.watch says how long a live release is watched.",
  );

/** Alone it was fine: preflight had proven it. */
export const brokenBesideOld = (fault: Fault): Fault =>
  new Fault(
    "broken_beside_old",
    `healthy in preflight, but not beside the running instances: ${fault.message}`,
    `Look for what two releases cannot share, such as a lock, a file or a table. ${fault.hint}`,
    { cause: fault },
  );
