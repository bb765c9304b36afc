import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { AppConfig } from "../config/schema.js";
import type { Running } from "../domain/deploy.js";
import { toFault } from "../domain/fault.js";
import type { LogWriter, RunDeploy } from "../domain/ports.js";
import type { AppState } from "../domain/request.js";
import { appEnv } from "../pipeline/env.js";
import type { Releases } from "../pipeline/ports.js";
import type { Rollout } from "../rollout/types.js";

interface ReviveDeps {
  apps: Record<string, AppConfig>;
  rollout: Rollout;
  releases(app: AppConfig): Releases;
  stateOf(app: string): AppState;
  /** The deploy that runs, or that a killed daemon has left. */
  running(): Running | undefined;
  logOf(deploy: string): LogWriter;
  /** For tests. Milliseconds. */
  graceMs?: number;
}

/** How long PM2 is still given to bring apps back by itself. */
interface Patience {
  /** As `performance.now` counts; from the first look on. */
  until?: number;
  /** Instances it had when it was last asked; undefined when that says nothing about what it does by itself. */
  known?: number;
}

/**
 * How long PM2 may take to bring its apps back by itself, when the machine boots or a person types `pm2 resurrect`:
 * both at once would start everything twice. It begins again with each one that comes back. Milliseconds.
 */
const patientMs = 10_000;
/** Before it is tried again to bring something back that PM2 lost while nothing was deployed. Milliseconds. */
const pausesMs = [5_000, 30_000, 60_000, 300_000];

/** From its rollout on it is the deploy itself that knows which release is to serve. */
const isDeciding = ({ steps, decision }: Running): boolean =>
  decision !== undefined || steps.some(({ name, status }) => name === "rollout" && status !== "pending");

/**
 * Brings live releases back that PM2 no longer knows: its God daemon was killed, or came up empty. An app of which
 * PM2 has anything left, be it stopped by hand, is not touched.
 */
export function createRevive(deps: ReviveDeps) {
  const { apps, rollout, graceMs = patientMs } = deps;
  const over = new AbortController();
  setMaxListeners(0, over.signal);
  /** The last pass over all apps; deploys wait for it. */
  let looking: Promise<unknown> = Promise.resolve();
  let last: Promise<unknown> = Promise.resolve();

  /** What changes what serves does so one after the other: a rollout and a release that is brought back. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = last.then(work);
    last = mine.catch(() => {});
    return mine;
  }

  /** How many instances PM2 has of all apps. */
  const known = async (): Promise<number> =>
    (await Promise.all(Object.values(apps).map((app) => rollout.instances(app)))).flat().length;

  async function isLost(app: AppConfig, patience: Patience, signal: AbortSignal): Promise<boolean> {
    for (; ; await sleep(500, undefined, { signal })) {
      const began = performance.now();
      patience.until ??= began + graceMs;
      const isOver = began > patience.until;
      if ((await rollout.instances(app)).length > 0) return false;
      const now = await known();
      // PM2 is at it: a hundred apps take it longer than one.
      const isComing = patience.known !== undefined && patience.known !== now;
      patience.known = now;
      if (isComing) patience.until = performance.now() + graceMs;
      else if (isOver) return true;
    }
  }

  /** False when there is something to be brought back that could not be. */
  async function revive(
    name: string,
    log: LogWriter,
    signal: AbortSignal,
    patience: Patience = {},
  ): Promise<boolean> {
    const app = apps[name];
    const { live } = deps.stateOf(name);
    const current = deps.running();
    if (!app || !live || (current?.app === name && isDeciding(current))) return true;
    try {
      if (!(await isLost(app, patience, signal))) return true;
      const release = deps.releases(app).find(live.release);
      if (!release) {
        log.say(`Warning: PM2 has lost ${name}, and ${live.release} is no longer there`);
        return true;
      }
      log.say(`PM2 has lost ${name}: bringing ${live.release} back`);
      const target = { app, release, deploy: live.deploy, env: appEnv(app) };
      // What comes from here on is our own doing.
      patience.known = undefined;
      await rollout.converge(target, { log, signal, trusted: true });
      await rollout.save();
      log.say(`${live.release} serves again`);
      return true;
    } catch (thrown) {
      // The deploy that follows meets the same, and says what is to be done.
      if (!signal.aborted) log.say(`Warning: ${name} was not brought back: ${toFault(thrown).message}`);
      return false;
    }
  }

  /** Every app in turn; PM2's time is one for all of them, or the last of a hundred would come back after a quarter of an hour. */
  async function look(log: LogWriter): Promise<boolean> {
    const patience: Patience = {};
    let whole = true;
    for (const name of Object.keys(apps)) {
      if (over.signal.aborted) return true;
      if (!(await inTurn(() => revive(name, log, over.signal, patience)))) whole = false;
    }
    return whole;
  }

  return {
    start(log: LogWriter): void {
      looking = look(log);
    },
    /** PM2 has crashed or was restarted, perhaps while nothing is deployed: what it does not bring back, we do. */
    async lost(log: LogWriter): Promise<void> {
      for (const pauseMs of [...pausesMs, 0]) {
        const pass = look(log);
        looking = pass;
        if ((await pass) || over.signal.aborted || pauseMs === 0) return;
        await sleep(pauseMs, undefined, { signal: over.signal, ref: false }).catch(() => {});
      }
    },
    /** For the pipeline: its changes wait for a release that is being brought back. */
    rollout: {
      ...rollout,
      converge: (target, io) => inTurn(() => rollout.converge(target, io)),
      withdraw: (app, io) => inTurn(() => rollout.withdraw(app, io)),
    } satisfies Rollout,
    /** A pipeline that has the live release serve before it begins. */
    before:
      (run: RunDeploy): RunDeploy =>
      async (recorder, signal, ending) => {
        const { id, app } = recorder.deploy;
        // Whoever cancels this deploy wants the live release no less; only the end of the process counts.
        ending.addEventListener("abort", () => over.abort(), { once: true });
        await looking;
        await inTurn(() => revive(app, deps.logOf(id), over.signal));
        return run(recorder, signal, ending);
      },
    /** What is under way is left. */
    async stop(): Promise<void> {
      over.abort();
      await looking;
    },
  };
}
