import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { AppConfig } from "../config/schema.js";
import { type Answer, ask, probeHeader, question } from "./ask.js";

interface AskingOptions {
  /** With it the preload tells which instance answered. */
  probeKey?: string;
  /** Who ask one after another, each for itself. */
  askers: number;
  /** Between an answer and the same asker's next question, milliseconds. */
  pause(answer: Answer): number;
  onAnswer(answer: Answer): void;
  signal: AbortSignal;
}

/** An asker goes on without an answer after that long, so that an instance that hangs hides no other. Milliseconds. */
const hangsMs = 250;
const openAtMost = 32;

export interface Asking {
  /** Ends at once; what is open is not waited for. */
  stop(): Promise<void>;
  /** Asks nothing more and waits for what is open. */
  settle(): Promise<void>;
}

/** Asks the app's health over and over, on connections of its own, until it is stopped. */
export function startAsking(app: AppConfig, options: AskingOptions): Asking {
  const asked = question(app, app.port as number);
  const headers: Record<string, string> =
    options.probeKey === undefined ? {} : { [probeHeader]: options.probeKey };
  const over = new AbortController();
  const enough = new AbortController();
  const dropped = AbortSignal.any([options.signal, over.signal]);
  const asksNoMore = AbortSignal.any([dropped, enough.signal]);
  setMaxListeners(0, dropped, asksNoMore);
  const open = new Set<Promise<void>>();

  const asker = async () => {
    while (!asksNoMore.aborted) {
      let pause = 0;
      const asking = ask({ ...asked, headers, signal: dropped }).then((answer) => {
        if (dropped.aborted) return;
        pause = options.pause(answer);
        options.onAnswer(answer);
      });
      open.add(asking);
      void asking.finally(() => open.delete(asking));
      await Promise.race([asking, sleep(hangsMs)]);
      await sleep(pause, undefined, { signal: asksNoMore }).catch(() => {});
      while (open.size >= openAtMost && !dropped.aborted) await Promise.race(open);
    }
  };
  const running = Array.from({ length: options.askers }, asker);
  return {
    async stop() {
      over.abort();
      await Promise.all([...running, ...open]);
    },
    async settle() {
      enough.abort();
      await Promise.all([...running, ...open]);
    },
  };
}
