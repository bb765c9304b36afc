import type { Logger } from "pino";
import type { NotifyConfig } from "../config/schema.js";
import { type Deploy, isEnded } from "../domain/deploy.js";
import type { Queue } from "../domain/ports.js";
import { messageFor } from "./message.js";
import { post } from "./post.js";

export interface NotifyDeps {
  targets: NotifyConfig[];
  queue: Pick<Queue, "subscribe">;
  logger: Pick<Logger, "warn">;
  /** Where a person looks at a deploy. */
  linkOf(deploy: string): string | undefined;
  /** Takes the secrets out of what is sent. */
  redact?: (text: string) => string;
  /** Between the attempts, milliseconds. */
  pausesMs?: number[];
}

/** Messages to one target that may be under way; a target that is away for long loses the rest. */
const mostUnderWay = 100;

/** How long a daemon that stops lets messages be finished, milliseconds. */
const graceMs = 3_000;

/** Tells the targets how deploys have ended. A deploy neither waits for it nor learns of its failures. */
export function createNotify({ targets, queue, logger, linkOf, redact, pausesMs }: NotifyDeps) {
  const stopping = new AbortController();
  const underWay = targets.map(() => new Set<Promise<void>>());

  const send = async (target: NotifyConfig, message: ReturnType<typeof messageFor>, deploy: string) => {
    try {
      await post(message, { signal: stopping.signal, pausesMs });
    } catch (error) {
      const reason = stopping.signal.aborted ? "the daemon stopped" : (error as Error).message;
      logger.warn({ deploy, target: target.type, reason }, "a notification was not delivered");
    }
  };

  const tell = (deploy: Deploy): void => {
    if (!isEnded(deploy)) return;
    for (const [index, target] of targets.entries()) {
      if (!target.on.includes(deploy.status)) continue;
      if (target.apps && !target.apps.includes(deploy.app)) continue;
      const sending = underWay[index];
      if (!sending || sending.size >= mostUnderWay) {
        logger.warn(
          { deploy: deploy.id, target: target.type, reason: "too many wait" },
          "a notification was not delivered",
        );
        continue;
      }
      const sent = send(target, messageFor(target, deploy, linkOf(deploy.id), redact), deploy.id).finally(
        () => sending.delete(sent),
      );
      sending.add(sent);
    }
  };
  const unsubscribe = queue.subscribe(tell);

  return {
    async stop(): Promise<void> {
      unsubscribe();
      const rest = underWay.flatMap((sending) => [...sending]);
      if (rest.length === 0) return;
      const timer = setTimeout(() => stopping.abort(), graceMs);
      await Promise.all(rest);
      clearTimeout(timer);
    },
  };
}
