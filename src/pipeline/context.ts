import type { AppConfig } from "../config/schema.js";
import type { Deploy, DeployError } from "../domain/deploy.js";
import { Fault } from "../domain/fault.js";
import type { LogWriter, Recorder } from "../domain/ports.js";
import type { Release } from "../domain/release.js";
import type { StepName } from "../domain/step.js";
import type { Stopwatch } from "../domain/stopwatch.js";
import type { Rollout, Target } from "../rollout/types.js";
import type { BuildCache, Builds, Git, Identify, Modules, Releases, RunCommand, WorkIo } from "./ports.js";
import type { ReceiptKeeper } from "./receipt.js";

/** What the steps of one deploy work with. */
export interface Context {
  app: AppConfig;
  recorder: Recorder;
  log: LogWriter;
  signal: AbortSignal;
  /** Aborts when this process is to end, also after a cancel. */
  ending: AbortSignal;
  /** Runs while something is waited for that is not dropless's doing. */
  stopwatch: Stopwatch;
  git: Git;
  releases: Releases;
  builds: Builds;
  modules: Modules;
  buildCache: BuildCache;
  identify: Identify;
  rollout: Rollout;
  receipt: ReceiptKeeper;
  run: RunCommand;
  /** Takes the secrets out of a text that is whole. */
  redact: (text: string) => string;
  /** The app's succeeded deploys, newest first. */
  succeeded: () => Deploy[];
  /** The clean base of every command's environment. */
  base: Record<string, string>;
  /** `env` over `envFile`, as it was when the deploy began. */
  env: Record<string, string>;
  now: () => Date;
  /** Before something that failed on the way back is tried again, milliseconds. */
  pauseMs: number;
}

/** `skipped`: the step does not apply, and why, without a full stop. `skip`: the whole deploy is not wanted. */
export type StepResult = undefined | { skipped: string } | { skip: DeployError };

export interface Step {
  name: StepName;
  run(context: Context): Promise<StepResult>;
}

export const io = ({ log, signal, recorder, stopwatch }: Context): WorkIo => ({
  log,
  signal,
  stopwatch,
  marker: recorder.deploy.id,
});

/** The release of this deploy. Fault `release_not_found` when its directory has gone. */
export function releaseOf({ recorder, releases }: Context): Release {
  const name = recorder.deploy.release ?? "";
  const release = releases.find(name);
  if (release) return release;
  throw new Fault(
    "release_not_found",
    `The release ${name} is no longer there`,
    "Deploy again; nothing but dropless should remove anything below the app's `releases`.",
  );
}

export const targetOf = (context: Context): Target => ({
  app: context.app,
  release: releaseOf(context),
  deploy: context.recorder.deploy.id,
  env: context.env,
});
