import type { DeployStatus } from "../domain/deploy.js";
import type { Terminal } from "./terminal.js";

/** A status in the colour it has everywhere. */
export function statusWord(status: DeployStatus, t: Terminal): string {
  switch (status) {
    case "succeeded":
      return t.green(status);
    case "failed":
    case "rolled_back":
    case "rollback_failed":
      return t.red(status);
    case "queued":
    case "running":
      return t.cyan(status);
    case "canceled":
      return t.yellow(status);
    case "superseded":
    case "skipped":
      return t.dim(status);
  }
}
