import type { Logger } from "pino";
import type { Config } from "./config/schema.js";
import { secretsIn } from "./config/secrets.js";
import { createEngine } from "./daemon/engine.js";
import { createExtras } from "./daemon/extras.js";
import { isEnded } from "./domain/deploy.js";
import { Fault } from "./domain/fault.js";
import type { LogWriter } from "./domain/ports.js";
import { createRedactor } from "./domain/redact.js";
import { createServer } from "./http/server.js";

export interface Daemon {
  /** Resolves with the address when webhooks are taken. Fault `port_taken`, `port_refused`. */
  start(): Promise<string>;
  /** Takes nothing more, gives the running deploy `graceMs` to end, else leaves it to the next start. */
  stop(options?: { graceMs?: number }): Promise<void>;
}

const listenFault = (error: NodeJS.ErrnoException, host: string, port: number): unknown => {
  if (error.code === "EADDRINUSE")
    return new Fault(
      "port_taken",
      `Port ${port} of ${host} is in use by another process.`,
      "Stop that process (`ss -ltnp` names it), or choose another `server.port`.",
      { cause: error },
    );
  if (error.code === "EACCES" || error.code === "EADDRNOTAVAIL" || error.code === "ENOTFOUND")
    return new Fault(
      "port_refused",
      `It is not possible to listen on ${host}:${port}: ${error.message}.`,
      "Choose a port from 1024 on, and an address of this machine, under `server`.",
      { cause: error },
    );
  return error;
};

/** What concerns no deploy is told in the daemon's own log; apps keep their output in theirs. */
const sayTo = (logger: Logger): LogWriter => ({
  say: (text) => logger.info(text),
  write: () => {},
  drained: async () => {},
  step: () => {},
  status: () => {},
  flush: async () => {},
});

/** The composition root; `redactor` learns the apps' secrets. Opens the store at once: Faults of `createEngine`, and its `onReplaced`. */
export async function createDaemon(
  config: Config,
  logger: Logger,
  version: string,
  redactor = createRedactor(secretsIn(config)),
  onReplaced?: (fault: Fault) => void,
): Promise<Daemon> {
  const report = (error: unknown) =>
    logger.error({ err: error }, error instanceof Fault ? error.message : "unexpected");
  const engine = createEngine(config, report, redactor, onReplaced);
  const { queue, logs, rollout } = engine;
  let isReady = false;
  const close = async (error: unknown): Promise<never> => {
    await engine.close();
    throw error;
  };

  const extras = await createExtras({ config, queue, logger, redactor, version }).catch(close);
  const server = await createServer({
    config,
    queue,
    logs,
    logger,
    version,
    redactor,
    metrics: extras.metrics,
    identify: extras.identify,
    audit: extras.audit,
    ready: () => isReady,
    instances: (app) => rollout.instances(app),
    releasesOf: async (app) => engine.releases(app).whole(),
  }).catch(close);
  // A deploy changes with each of its steps; the daemon's own log tells how it goes on as a whole.
  const told = new Map<string, string>();
  queue.subscribe((deploy) => {
    const { id, app, status, trigger } = deploy;
    if (told.get(id) === status) return;
    const over = isEnded(deploy);
    if (over) told.delete(id);
    else told.set(id, status);
    logger.info({ deploy: id, app, status, trigger, code: over ? deploy.error?.code : undefined }, "deploy");
  });

  return {
    async start() {
      const { host, port } = config.server;
      try {
        const url = await server.listen({ host, port });
        engine.revive(sayTo(logger));
        queue.start();
        isReady = true;
        extras.start();
        return url;
      } catch (error) {
        throw listenFault(error as NodeJS.ErrnoException, host, port);
      }
    },
    async stop({ graceMs = 10_000 } = {}) {
      isReady = false;
      await queue.stop({ graceMs });
      await server.close();
      await extras.stop();
      await engine.close();
    },
  };
}
