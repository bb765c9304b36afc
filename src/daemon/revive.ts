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
  /** The deploy that a killed daemon has left. */
  running(): Running | undefined;
  logOf(deploy: string): LogWriter;
}

/**
 * How long PM2 may take to bring its apps back by itself, when the machine boots or a person types `pm2 resurrect`:
 * both at once would start everything twice. Milliseconds.
 */
const graceMs = 10_000;

/** From its rollout on it is the deploy itself that knows which release is to serve. */
const isDeciding = ({ steps, decision }: Running): boolean =>
  decision !== undefined || steps.some(({ name, status }) => name === "rollout" && status !== "pending");

/**
 * Brings live releases back that PM2 no longer knows: its God daemon was killed, or came up empty. An app of which
 * PM2 has anything left, be it stopped by hand, is not touched.
 */
export function createRevive(deps: ReviveDeps) {
  const { apps, rollout } = deps;
  const over = new AbortController();
  setMaxListeners(0, over.signal);
  let atStart: Promise<void> = Promise.resolve();

  async function isLost(app: AppConfig, signal: AbortSignal): Promise<boolean> {
    for (const until = performance.now() + graceMs; ; await sleep(500, undefined, { signal })) {
      if ((await rollout.instances(app)).length > 0) return false;
      if (performance.now() > until) return true;
    }
  }

  async function revive(name: string, log: LogWriter, signal: AbortSignal): Promise<void> {
    const app = apps[name];
    const { live } = deps.stateOf(name);
    if (!app || !live) return;
    try {
      if (!(await isLost(app, signal))) return;
      const release = deps.releases(app).find(live.release);
      if (!release) return log.say(`Warning: PM2 has lost ${name}, and ${live.release} is no longer there`);
      log.say(`PM2 has lost ${name}: bringing ${live.release} back`);
      const target = { app, release, deploy: live.deploy, env: appEnv(app) };
      await rollout.converge(target, { log, signal, trusted: true });
      await rollout.save();
      log.say(`${live.release} serves again`);
    } catch (thrown) {
      // The deploy that follows meets the same, and says what is to be done.
      if (!signal.aborted) log.say(`Warning: ${name} was not brought back: ${toFault(thrown).message}`);
    }
  }

  return {
    /** Every app in turn; deploys wait for it. */
    start(log: LogWriter): void {
      const left = deps.running();
      const names = Object.keys(apps).filter((name) => !(left?.app === name && isDeciding(left)));
      atStart = (async () => {
        for (const name of names) if (!over.signal.aborted) await revive(name, log, over.signal);
      })();
    },
    /** A pipeline that has the live release serve before it begins. */
    before:
      (run: RunDeploy): RunDeploy =>
      async (recorder, signal, ending) => {
        const { id, app } = recorder.deploy;
        // Whoever cancels this deploy wants the live release no less; only the end of the process counts.
        const onEnding = () => over.abort();
        ending.addEventListener("abort", onEnding, { once: true });
        await atStart;
        if (!isDeciding(recorder.deploy)) await revive(app, deps.logOf(id), over.signal);
        ending.removeEventListener("abort", onEnding);
        return run(recorder, signal, ending);
      },
    /** What is under way is left. */
    async stop(): Promise<void> {
      over.abort();
      await atStart;
    },
  };
}
