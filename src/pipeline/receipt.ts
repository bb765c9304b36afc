import type { AppConfig } from "../config/schema.js";
import type { LogWriter, Recorder } from "../domain/ports.js";
import { addReceipts } from "../domain/receipt.js";
import type { Probe, StartProbe } from "../rollout/types.js";

/** The deploy's probe: begun when there is something users could reach, ended and written down once. */
export interface ReceiptKeeper {
  begin(): void;
  /** Writes down what was seen, if anything was asked. Never throws: it must not decide a deploy. */
  end(): Promise<void>;
}

const count = new Intl.NumberFormat("en-US");

export function createReceipt(
  app: AppConfig,
  recorder: Recorder,
  log: LogWriter,
  startProbe: StartProbe,
): ReceiptKeeper {
  let probe: Probe | undefined;
  return {
    begin() {
      if (app.port !== undefined) probe ??= startProbe(app, log);
    },
    async end() {
      if (!probe) return;
      const stopped = probe.stop();
      probe = undefined;
      try {
        const receipt = addReceipts(recorder.deploy.receipt, await stopped);
        recorder.receipt(receipt);
        const gap = `longest gap ${count.format(Math.round(receipt.maxGapMs))} ms`;
        log.say(
          `Receipt: ${count.format(receipt.probes)} ${receipt.probes === 1 ? "probe" : "probes"}, ${count.format(receipt.failed)} failed, ${gap}`,
        );
      } catch (error) {
        log.say(`No receipt: ${(error as Error).message}`);
      }
    },
  };
}
