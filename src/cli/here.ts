import { setTimeout as wait } from "node:timers/promises";
import { pino } from "pino";
import { loadConfig } from "../config/load.js";
import type { Config } from "../config/schema.js";
import { forgetSecrets } from "../config/secrets.js";
import { createDaemon } from "../daemon.js";
import { toFault } from "../domain/fault.js";
import { createClient } from "../http/client.js";
import type { Session } from "./session.js";
import { version } from "./version.js";

export interface Reached {
  /** Talks to the daemon that answered, or to the one in this process. */
  session: Session;
  here: boolean;
  /** Ends the one in this process; what it did not finish is left to the next start. */
  stop(): Promise<void>;
}

const codeOf = (thrown: unknown): string => toFault(thrown).code;

/** With the secrets where they can be had: they are not needed, but then no log can show one. */
function fullConfig(session: Session): Config {
  const options = { config: session.config().file, env: session.io.env, cwd: session.io.cwd };
  try {
    const { config, secretEnvNames } = loadConfig(options);
    forgetSecrets(secretEnvNames);
    return config;
  } catch {
    const { config, secretEnvNames } = loadConfig({ ...options, secrets: false });
    forgetSecrets(secretEnvNames);
    return config;
  }
}

/**
 * The daemon that answers, or else a whole daemon in this process: the same code under the same lock, but on
 * a port that nobody knows, so that no webhook is acknowledged by what is about to end. When another process has
 * the lock (a second deploy.sh, a daemon that starts), it is waited for.
 */
export async function reachOrStart(session: Session): Promise<Reached> {
  for (let said = false; ; said = true) {
    try {
      await createClient({ url: session.url(), patienceMs: 0 }).health();
      return { session, here: false, stop: async () => {} };
    } catch (thrown) {
      // A daemon that was named is not replaced by one of ours.
      if (codeOf(thrown) !== "no_daemon" || session.io.env.DROPLESS_URL) throw thrown;
    }
    try {
      return await startHere(session);
    } catch (thrown) {
      if (codeOf(thrown) !== "data_dir_in_use") throw thrown;
      if (!said) session.terminal.error(`… ${toFault(thrown).message} Waiting for it.`);
    }
    await wait(500);
  }
}

async function startHere(session: Session): Promise<Reached> {
  const config = fullConfig(session);
  const server = { ...config.server, host: "127.0.0.1", port: 0 };
  const daemon = await createDaemon({ ...config, server }, pino({ level: "silent" }), version());
  try {
    const url = await daemon.start();
    return {
      session: session.at(url),
      here: true,
      stop: () => daemon.stop({ graceMs: 0 }),
    };
  } catch (error) {
    await daemon.stop({ graceMs: 0 });
    throw error;
  }
}
