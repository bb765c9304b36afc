import type { DeployStatus } from "../domain/deploy.js";

export const exitCode = { done: 0, failed: 1, usage: 2, noDaemon: 3 } as const;

export const exitOfStatus = (status: DeployStatus): number =>
  status === "succeeded" || status === "skipped" ? exitCode.done : exitCode.failed;

/** What was asked for is wrong, as opposed to: it was tried and failed. */
const usage = new Set([
  "usage",
  "invalid_request",
  "unreadable",
  "not_found",
  "app_unknown",
  "release_unknown",
  "unauthorized",
  "forbidden",
  // The daemon cannot start as it is configured.
  "data_dir_in_use",
  "port_taken",
  "port_refused",
]);

export function exitOfFault(code: string): number {
  if (code === "no_daemon") return exitCode.noDaemon;
  if (usage.has(code) || code.startsWith("config")) return exitCode.usage;
  return exitCode.failed;
}
