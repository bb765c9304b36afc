import type { AppConfig } from "../config/schema.js";
import type { Deploy, Outcome } from "../domain/deploy.js";
import { Fault, toFault } from "../domain/fault.js";
import type { DeployLogs, Recorder, RunDeploy } from "../domain/ports.js";
import { crashFault, diedIn, isHopeless } from "../domain/resumes.js";
import { type StepName, stepNames } from "../domain/step.js";
import { createStopwatch, type Stopwatch } from "../domain/stopwatch.js";
import { plainText } from "../domain/text.js";
import type { Rollout, StartProbe } from "../rollout/types.js";
import type { Context, Step } from "./context.js";
import { appEnv, baseEnv } from "./env.js";
import { attempt, conclude, handedOver, type Stop } from "./outcome.js";
import type { BuildCache, Builds, Git, Identify, Modules, Releases, RunCommand } from "./ports.js";
import { createReceipt } from "./receipt.js";
import { beginRollback } from "./rollback.js";
import { activateStep } from "./steps/activate.js";
import { buildStep } from "./steps/build.js";
import { fetchStep } from "./steps/fetch.js";
import { installStep } from "./steps/install.js";
import { migrateStep } from "./steps/migrate.js";
import { preflightStep } from "./steps/preflight.js";
import { pruneStep } from "./steps/prune.js";
import { rolloutStep } from "./steps/rollout.js";
import { watchStep } from "./steps/watch.js";

export interface PipelineDeps {
  apps: Record<string, AppConfig>;
  /** One for all, since one deploy runs at a time; that of `git` runs while git does. */
  stopwatch?: Stopwatch;
  git: (app: AppConfig) => Git;
  releases: (app: AppConfig) => Releases;
  builds: (app: AppConfig) => Builds;
  modules: (app: AppConfig) => Modules;
  buildCache: (app: AppConfig) => BuildCache;
  identify: Identify;
  rollout: Rollout;
  startProbe: StartProbe;
  logs: Pick<DeployLogs, "open">;
  run: RunCommand;
  /** Ends what is left of a deploy's commands (the daemon was killed while they ran); gives their number. */
  reap: (deploy: string) => Promise<number>;
  /** An app's succeeded deploys, newest first. */
  succeeded: (app: string) => Deploy[];
  /** The daemon's environment; commands get a small part of it. */
  env: NodeJS.ProcessEnv;
  now: () => Date;
  /** Takes secrets out of what a command or an app said, before it becomes an error's message. */
  redact: (text: string) => string;
  /** Before something that failed on the way back is tried again, milliseconds. */
  pauseMs?: number;
}

const steps: Record<StepName, Step> = {
  fetch: fetchStep,
  install: installStep,
  build: buildStep,
  migrate: migrateStep,
  preflight: preflightStep,
  rollout: rolloutStep,
  activate: activateStep,
  watch: watchStep,
  prune: pruneStep,
};

const statusOf = (recorder: Recorder, name: StepName) =>
  recorder.deploy.steps.find((step) => step.name === name)?.status ?? "pending";

const isDone = (recorder: Recorder, name: StepName): boolean =>
  ["succeeded", "skipped"].includes(statusOf(recorder, name));

/** After a restart: is what the finished steps made still there and whole? Otherwise it is made again. */
function isUsable({ recorder, releases }: Context): boolean {
  const { release, decision } = recorder.deploy;
  if (decision || !isDone(recorder, "fetch")) return true;
  if (!release || !releases.find(release)) return false;
  return !isDone(recorder, "migrate") || releases.built(release) !== undefined;
}

/** The release was watched and stays; only what it would have removed is left for the next deploy. */
function withoutPrune({ recorder, log }: Context): Outcome {
  recorder.step("prune", "failed");
  log.say(`Warning: old releases were not removed: ${crashFault(recorder.deploy).message}`);
  return { status: "succeeded" };
}

/** Not even the way back could be taken: with a rollout begun, somebody has to look what serves. */
function lost(recorder: Recorder, thrown: unknown, step?: StepName): Outcome {
  const { code, message, hint } = toFault(thrown);
  const begun = statusOf(recorder, "rollout") !== "pending";
  return { status: begun ? "rollback_failed" : "failed", error: { code, message, hint, step } };
}

/** The pipeline of every app: one table of steps, and `conclude` for whatever does not get through it. */
export function createPipeline(deps: PipelineDeps): RunDeploy {
  function open(recorder: Recorder, signal: AbortSignal, ending: AbortSignal): Context {
    const name = recorder.deploy.app;
    const app = deps.apps[name];
    if (!app) {
      throw new Fault(
        "app_unknown",
        `${name} is not in the configuration any more`,
        "Put it back under `apps` and deploy again.",
      );
    }
    const log = deps.logs.open(recorder.deploy.id);
    return {
      app,
      recorder,
      log,
      signal,
      ending,
      stopwatch: deps.stopwatch ?? createStopwatch(),
      git: deps.git(app),
      releases: deps.releases(app),
      builds: deps.builds(app),
      modules: deps.modules(app),
      buildCache: deps.buildCache(app),
      identify: deps.identify,
      rollout: deps.rollout,
      receipt: createReceipt(app, recorder, log, deps.startProbe),
      run: deps.run,
      redact: deps.redact,
      succeeded: () => deps.succeeded(name),
      base: baseEnv(deps.env),
      env: appEnv(app),
      now: deps.now,
      pauseMs: deps.pauseMs ?? 2_000,
    };
  }

  async function through(context: Context, stop: Stop): Promise<Outcome> {
    const { recorder, signal, ending, rollout, app, log, stopwatch } = context;
    if (recorder.deploy.trigger === "rollback") beginRollback(context);
    const again = recorder.deploy.trigger !== "rollback" && !isUsable(context);
    for (const name of stepNames) {
      if (isDone(recorder, name) && !again) continue;
      stop.step = name;
      // Once it has been watched it stays: a cancel that comes now is too late.
      if (name !== "prune") signal.throwIfAborted();
      if (name === "rollout" && statusOf(recorder, name) === "pending") {
        stop.before = await rollout.instances(app);
        recorder.previous(recorder.app().live?.release);
      }
      recorder.step(name, "running");
      const before = stopwatch.ms();
      const waited = () => stopwatch.ms() - before;
      try {
        const result = await steps[name].run(context);
        if (result && "skipped" in result) {
          log.say(result.skipped);
          recorder.step(name, "skipped", waited(), result.skipped);
          continue;
        }
        recorder.step(name, "succeeded", waited());
        if (result) {
          for (const rest of stepNames) if (!isDone(recorder, rest)) recorder.step(rest, "skipped");
          log.say(`Skipped: ${result.skip.message}`);
          return { status: "skipped", error: result.skip };
        }
      } catch (error) {
        if (!ending.aborted) attempt(log, () => recorder.step(name, "failed", waited()));
        if (name !== "prune") throw error;
        const { message, hint } = toFault(error);
        log.say(`Warning: not everything was tidied up: ${message}. ${hint}`);
      }
    }
    return { status: "succeeded" };
  }

  const shown = (text: string): string => plainText(deps.redact(text), 2_000);
  const redacted = (outcome: Outcome): Outcome => {
    if (outcome.status === "succeeded") return outcome;
    const { message, hint } = outcome.error;
    return {
      ...outcome,
      // Where it quotes a command or an app, it holds what those have printed.
      error: { ...outcome.error, message: shown(message), hint: shown(hint) },
    };
  };

  const runDeploy: RunDeploy = async (recorder, signal, ending) => {
    let context: Context;
    try {
      context = open(recorder, signal, ending);
    } catch (thrown) {
      return lost(recorder, thrown);
    }
    const stop: Stop = { thrown: undefined };
    try {
      await deps.reap(recorder.deploy.id);
      if (isHopeless(recorder.deploy)) {
        if (isDone(recorder, "watch")) return withoutPrune(context);
        stop.step = diedIn(recorder.deploy);
        throw crashFault(recorder.deploy);
      }
      if (recorder.deploy.decision !== "back") return await through(context, stop);
      stop.step = "rollout";
      stop.thrown = new Fault(
        "taken_back",
        "The deploy was being taken back when the daemon was restarted",
        "The log says what was wrong with the release.",
      );
    } catch (thrown) {
      stop.thrown = thrown;
    }
    try {
      return await conclude(context, stop);
    } catch (thrown) {
      // The store would not take it: the deploy is as it was, and the next start goes on with it.
      if (ending.aborted) return handedOver;
      return lost(recorder, thrown, stop.step);
    }
  };
  return async (...args) => redacted(await runDeploy(...args));
}
