import type { AppConfig } from "../config/schema.js";
import type { Instance, LogWriter } from "../domain/ports.js";
import type { Release } from "../domain/release.js";
import type { Stopwatch } from "../domain/stopwatch.js";

/** A release that is to run, and for which deploy. */
export interface Target {
  app: AppConfig;
  release: Release;
  /** Id of the deploy that wants it; instances carry it. */
  deploy: string;
  /** The app's whole environment from the configuration (`env` over `envFile`); PM2's file adds its own. */
  env: Record<string, string>;
}

export interface StepIo {
  log: LogWriter;
  signal: AbortSignal;
  /** Runs while something is waited for that is not dropless's doing. */
  stopwatch?: Stopwatch;
}

/**
 * All that changes or reads what serves. Every method throws a Fault whose `message` says in one sentence
 * what was wrong with the release (code e.g. `crashed_at_boot`, `never_listened`, `listens_elsewhere`,
 * `unhealthy`, `script_missing`, `broken_beside_old`, `died_in_watch`, `pm2_unreachable`).
 */
export interface Rollout {
  /** Boots the release aside on a private port, asks it until it is proven, soaks, and ends it. */
  preflight(target: Target, io: StepIo): Promise<void>;
  /**
   * Makes exactly the wanted instances of `target` run and none of another release. Idempotent; reads from
   * PM2 what runs. On a fault or an abort the new instances of this call's batches are out again wherever
   * the ones they were to replace are still there; what was already replaced is put back by converging on
   * the previous release. `trusted`: the release was live before, so there is no preflight gate before it and
   * broken instances of other releases are taken out as soon as one instance of the target is proven.
   */
  converge(target: Target, io: StepIo & { trusted?: boolean }): Promise<void>;
  /** Asks the live release for `health.watch`; throws when an instance died or answered badly. */
  watch(target: Target, io: StepIo): Promise<void>;
  /**
   * Back to what ran before dropless knew the app: removes every instance of dropless's making; those that were
   * adopted are started again as they had been, when they are gone.
   */
  withdraw(app: AppConfig, io: StepIo): Promise<void>;
  /** What PM2 runs for this app now, its several PM2 names included. */
  instances(app: AppConfig): Promise<Instance[]>;
  /** `pm2 save`. */
  save(): Promise<void>;
  /** Ends the worker process that talks to PM2 (not PM2, not the apps). */
  close(): Promise<void>;
}

/** The steady probe behind the receipt. Starts asking at once; `stop` gives what it saw. */
export interface Probe {
  stop(): Promise<import("../domain/receipt.js").Receipt>;
}
export type StartProbe = (app: AppConfig, log: LogWriter) => Probe;
