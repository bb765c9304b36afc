import type { Commit, Trigger } from "./deploy.js";

/** One wish for one app, whoever had it. */
export interface DeployRequest {
  app: string;
  trigger: Trigger;
  ref: string;
  /** `sha` is empty when only a ref is known (a person's deploy): the fetch resolves it. */
  commit: Commit;
}

/** What makes a repeated delivery recognisable: its unsigned id, and the SHA-256 of its signed body. */
export interface Delivery {
  id: string;
  bodySha256: string;
}

/** The live release of an app, as the store has decided it. */
export interface LiveRelease {
  /** Name of the release directory. */
  release: string;
  sha: string;
  deploy: string;
  /** ISO 8601. */
  since: string;
}

export interface Hold {
  reason: string;
  by: string;
  /** ISO 8601. */
  since: string;
}

/** What the store knows of an app. */
export interface AppState {
  live?: LiveRelease;
  hold?: Hold;
  /** Sha of the release that was left by the last rollback, until something newer is live. */
  left?: { sha: string; deploy: string; automatic: boolean };
}
