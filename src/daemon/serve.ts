import { readFileSync } from "node:fs";
import closeWithGrace from "close-with-grace";
import { type Logger, pino } from "pino";
import { loadConfig } from "../config/load.js";
import { forgetSecrets, secretsIn } from "../config/secrets.js";
import { createDaemon } from "../daemon.js";
import type { Fault } from "../domain/fault.js";
import { createRedactor, type Redactor } from "../domain/redact.js";

const version: string = JSON.parse(
  readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
).version;

/** JSON lines on stdout, without secrets whatever is logged; those of one moment in one write. */
const createLogger = (redact: Redactor): Logger => {
  let lines = "";
  const flush = () => {
    const text = lines;
    lines = "";
    if (text !== "") process.stdout.write(redact.text(text));
  };
  process.once("exit", flush);
  return pino(
    { level: process.env.DROPLESS_LOG_LEVEL || "info", base: null, timestamp: pino.stdTimeFunctions.isoTime },
    {
      write(line: string) {
        if (lines === "") setImmediate(flush);
        lines += line;
      },
    },
  );
};

/** How long a running deploy may go on after the stop signal; below systemd's and PM2's own patience. */
const graceMs = (): number => Number(process.env.DROPLESS_STOP_GRACE_MS) || 8_000;

/**
 * The daemon until a signal: configuration → daemon → signals. Throws the Faults of a start that fails
 * (`config_invalid`, `data_dir_in_use`, `port_taken`, …); resolves when it is ready.
 */
export async function serve(options: { config?: string } = {}): Promise<void> {
  const { config, secretEnvNames } = loadConfig(options);
  // Before anything else is started: no child process may inherit one.
  forgetSecrets(secretEnvNames);
  const redactor = createRedactor(secretsIn(config));
  const logger = createLogger(redactor);
  let replaced: Fault | undefined;
  const daemon = await createDaemon(config, logger, version, redactor, (fault) => {
    replaced = fault;
    void ending.close();
  });
  const ending = closeWithGrace({ delay: graceMs() + 15_000, logger }, async ({ signal, err }) => {
    if (err) logger.fatal({ err }, "unexpected, the daemon stops");
    else if (replaced) logger.fatal({ hint: replaced.hint }, replaced.message);
    else logger.info({ signal }, "stopping");
    // Of the deploy that runs nothing could be stored any more.
    await daemon.stop({ graceMs: replaced ? 0 : graceMs() });
    logger.info("stopped");
    // Its supervisor is to see an end that was not asked for.
    if (replaced) throw replaced;
  });
  try {
    const url = await daemon.start();
    logger.info({ url, apps: Object.keys(config.apps), config: config.file, pid: process.pid }, "ready");
    // Under PM2 with `wait_ready`.
    process.send?.("ready");
  } catch (error) {
    await daemon.stop({ graceMs: 0 });
    throw error;
  }
}
