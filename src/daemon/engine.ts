import { cpus, freemem } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createBooter } from "../adapters/boot.js";
import { createBuildCache } from "../adapters/build-cache.js";
import { createBuilds } from "../adapters/builds.js";
import { runCommand } from "../adapters/command.js";
import { createDeployLogs } from "../adapters/deploy-log/logs.js";
import { createGit } from "../adapters/git.js";
import { createModules } from "../adapters/modules/modules.js";
import { readDefinitions, remembering } from "../adapters/pm2/ecosystem.js";
import { type GodWatch, watchGod } from "../adapters/pm2/god-watch.js";
import { createPm2 } from "../adapters/pm2/pm2.js";
import { startProbe } from "../adapters/probe.js";
import { probeKey } from "../adapters/probe-key.js";
import { reap } from "../adapters/processes.js";
import { identify } from "../adapters/programs.js";
import { createReleases } from "../adapters/releases.js";
import { openStore } from "../adapters/sqlite/store.js";
import { secretsOfApp } from "../config/app-secrets.js";
import type { AppConfig, Config } from "../config/schema.js";
import type { Fault } from "../domain/fault.js";
import { createIds, createRandom } from "../domain/ids.js";
import type { DeployLogs, LogWriter, Queue } from "../domain/ports.js";
import type { Redactor } from "../domain/redact.js";
import { createStopwatch } from "../domain/stopwatch.js";
import { appEnv } from "../pipeline/env.js";
import { createPipeline } from "../pipeline/pipeline.js";
import type { Releases } from "../pipeline/ports.js";
import { createQueue } from "../queue/queue.js";
import { createRollout } from "../rollout/rollout.js";
import type { Rollout } from "../rollout/types.js";
import { createRevive } from "./revive.js";
import { createSweep } from "./sweep.js";

/** Everything behind the HTTP side: what deploys, and remembers. */
export interface Engine {
  queue: Queue;
  logs: DeployLogs;
  rollout: Rollout;
  releases(app: AppConfig): Releases;
  /** Before `queue.start`: live releases that PM2 has lost, or loses from now on, come back. */
  revive(log: LogWriter): void;
  /** After `queue.stop`. */
  close(): Promise<void>;
}

/** The built preload; beside this folder in `dist`, and there too when the sources are run. */
const preload = fileURLToPath(new URL("../../dist/drain", import.meta.url));

/**
 * Opens the store (one process per data folder: Fault `data_dir_in_use`) and puts the parts together; nothing
 * runs before `queue.start()`. The daemon and `deploy.sh` are both made of this. `onReplaced`: as of `openStore`.
 */
export function createEngine(
  config: Config,
  report: (error: unknown) => void,
  redactor: Redactor,
  onReplaced?: (fault: Fault) => void,
): Engine {
  const store = openStore(config.dataDir, undefined, onReplaced);
  const logs = createDeployLogs({
    dir: join(config.dataDir, "logs"),
    redact: redactor,
    report,
  });
  const pm2 = createPm2({ pm2Home: config.pm2Home });
  const rollout = createRollout({
    pm2,
    booter: createBooter(),
    readDefinitions: remembering((target) => readDefinitions(target)),
    stateDir: config.dataDir,
    host: { cores: cpus().length, probeKey: probeKey(config.dataDir) },
    freeMemory: freemem,
  });

  const byApp = <T>(make: (app: AppConfig) => T) => {
    const made = new Map<string, T>();
    return (app: AppConfig): T => {
      const one = made.get(app.name) ?? make(app);
      made.set(app.name, one);
      return one;
    };
  };
  const modules = byApp((app) => createModules({ app }));
  const releases = byApp((app) => createReleases({ app, now: () => new Date(), preload }));

  const revive = createRevive({
    apps: config.apps,
    rollout,
    releases,
    stateOf: (app) => store.app(app),
    running: () => store.running(),
    logOf: (deploy) => logs.open(deploy),
  });
  const stopwatch = createStopwatch();
  const run = createPipeline({
    apps: config.apps,
    stopwatch,
    git: byApp((app) => createGit({ app, env: process.env, timeoutMs: app.timeouts.fetch, stopwatch })),
    releases,
    builds: byApp((app) => createBuilds({ app, releases: releases(app) })),
    modules,
    buildCache: byApp((app) => createBuildCache({ app })),
    identify,
    rollout: revive.rollout,
    startProbe,
    logs,
    run: runCommand,
    reap: (deploy) => reap(deploy),
    succeeded: (app) => store.succeeded(app),
    env: process.env,
    now: () => new Date(),
    redact: redactor.text,
  });
  /** Its envFile may have changed since the last deploy; one that cannot be read is told by that deploy. */
  const learnSecrets = (app: AppConfig): void => {
    redactor.learn(secretsOfApp(app.env, app.buildEnv, { repository: app.repository }));
    try {
      redactor.learn(secretsOfApp(appEnv(app)));
    } catch {
      // As said.
    }
  };
  for (const app of Object.values(config.apps)) learnSecrets(app);

  const runRevived = revive.before(run);
  let god: GodWatch | undefined;
  const queue = createQueue({
    store,
    async run(recorder, signal, ending) {
      const app = config.apps[recorder.deploy.app];
      if (app) learnSecrets(app);
      try {
        return await runRevived(recorder, signal, ending);
      } finally {
        // The first deploy may have made PM2's home.
        void god?.look();
      }
    },
    afterwards: createSweep(
      Object.values(config.apps).flatMap((app) => [releases(app), modules(app)]),
      report,
    ),
    logs,
    ids: createIds(Date.now, createRandom(), store.list({ limit: 1 }).deploys[0]?.id),
    isApp: (name) => config.apps[name] !== undefined,
    report,
  });

  return {
    queue,
    logs,
    rollout,
    releases,
    revive(log) {
      revive.start(log);
      god = watchGod({ pm2Home: config.pm2Home, onLost: () => void revive.lost(log).catch(report) });
      void god.look();
    },
    async close() {
      god?.close();
      const stopped = revive.stop();
      // A call that PM2 does not answer ends with this.
      await rollout.close();
      await stopped;
      store.close();
    },
  };
}
