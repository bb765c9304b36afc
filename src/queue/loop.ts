import type { Ended, Outcome, Running } from "../domain/deploy.js";
import { toFault } from "../domain/fault.js";
import type { DeployLogs, RunDeploy } from "../domain/ports.js";
import { abandoned, isBeyondHelp, resumedAgain } from "../domain/resumes.js";
import type { Journal } from "./journal.js";
import { nextOf } from "./rules.js";
import { createSession, type Session } from "./session.js";
import type { Store } from "./store.js";
import { settled, started } from "./transitions.js";

interface Deps {
  store: Store;
  journal: Journal;
  logs: DeployLogs;
  run: RunDeploy;
  afterwards?: () => Promise<void>;
  now: () => number;
  isApp: (name: string) => boolean;
  report: (error: unknown) => void;
  /** How long a store that cannot be written is left alone before it is tried again, milliseconds. */
  retryMs: number;
}

/** How long a deploy waits without a word while nothing runs, milliseconds. */
const silentMs = 3_000;
/** How long a pipeline may take to let go of its deploy when the process ends, milliseconds. */
const handoverMs = 10_000;

const sleep = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });

/** Waits for `work`, at most `ms`. */
async function within(ms: number, work: Promise<void>): Promise<void> {
  const done = new AbortController();
  await Promise.race([work, sleep(ms, done.signal)]);
  done.abort();
}

/** Left to the next start: what the pipeline has not brought to its end, nor a person's cancel. */
const isHandedOver = ({ ending, deploy }: Session, outcome: Outcome): boolean =>
  ending.aborted &&
  outcome.status !== "succeeded" &&
  (outcome.error.code === "handed_over" || !deploy.cancelRequested);

/** Claims → runs → settles, one deploy after the other, until there is none or it is stopped. */
export function createLoop(deps: Deps) {
  const { store, journal, logs, run, now, isApp, report, retryMs } = deps;
  const stopping = new AbortController();
  let session: Session | undefined;
  let working: Promise<void> | undefined;
  let scheduled = false;
  let wanted = false;
  let isFirst = true;
  let isTidying = false;
  let on = false;

  const nextInLine = () => nextOf(store.waiting(), (app) => store.app(app).hold !== undefined);

  function claim(): Running | undefined {
    return store.transaction(() => {
      const next = nextInLine();
      if (!next) return undefined;
      const running = started(next, store.standsFor(next.id), now());
      store.update(running);
      return running;
    });
  }

  async function outcomeOf({ recorder, signal, ending, deploy }: Session): Promise<Outcome> {
    if (!isApp(deploy.app))
      return {
        status: "failed",
        error: {
          code: "app_unknown",
          message: `${deploy.app} is not in the configuration any more.`,
          hint: "Put it back under `apps` in dropless.yaml and deploy again.",
        },
      };
    if (isBeyondHelp(deploy)) return abandoned(deploy);
    try {
      return await run(recorder, signal, ending);
    } catch (error) {
      report(error);
      const { code, message, hint } = toFault(error);
      return { status: "failed", error: { code, message, hint } };
    }
  }

  function settle(deploy: Running, outcome: Outcome): Ended {
    const end = settled(deploy, outcome, now());
    store.transaction(() => {
      store.update(end);
      if (end.status !== "rollback_failed") return;
      const reason = end.error?.message ?? "The rollback failed.";
      const hold = { reason, by: "dropless", since: end.finishedAt };
      store.setApp(end.app, { ...store.app(end.app), hold });
    });
    return end;
  }

  /** Until it works: an outcome is not forgotten because the disk is full. Undefined when stopped before. */
  async function persistently<T>(work: () => T): Promise<T | undefined> {
    for (;;) {
      try {
        return work();
      } catch (error) {
        report(error);
        await sleep(retryMs, stopping.signal);
        if (stopping.signal.aborted) return undefined;
      }
    }
  }

  /** Counted before anything is done with it: whatever ends the daemon now is not met for ever. */
  function takeUp(deploy: Running): Running {
    const counted = resumedAgain(deploy);
    store.update(counted);
    return counted;
  }

  async function execute(deploy: Running, resumed: boolean): Promise<void> {
    const current = createSession({ store, journal, logs, now }, deploy);
    session = current;
    const note = resumed ? "The daemon was restarted; this deploy goes on where it was." : undefined;
    journal.status(deploy, { note });
    if (deploy.cancelRequested) current.abort("cancel");
    const outcome = await outcomeOf(current);
    if (!isHandedOver(current, outcome)) {
      const end = await persistently(() => settle(current.deploy, outcome));
      if (end) journal.status(end, { end: true });
    }
    current.leave();
    session = undefined;
  }

  /** The deploy has ended for whoever waits for it; the next one finds it done, and with it the room on the disk. */
  const tidyUp = async (): Promise<void> => {
    if (stopping.signal.aborted) return;
    isTidying = true;
    const told = new Set<string>();
    // Mostly it is over before; whoever waits longer is not to wonder what runs.
    const tell = (): void => {
      try {
        const next = nextInLine();
        if (!next || told.has(next.id)) return;
        told.add(next.id);
        logs.open(next.id).say("Waits until the files of old releases are removed");
      } catch (error) {
        report(error);
      }
    };
    const timer = setInterval(tell, silentMs);
    const stop = (): void => clearInterval(timer);
    stopping.signal.addEventListener("abort", stop);
    await deps.afterwards?.().catch(report);
    stopping.signal.removeEventListener("abort", stop);
    stop();
    isTidying = false;
  };

  async function work(resumable: Running | undefined): Promise<void> {
    if (resumable) {
      const counted = await persistently(() => takeUp(resumable));
      if (counted) await execute(counted, true);
    }
    // What the last process had left to do.
    if (isFirst) await tidyUp();
    isFirst = false;
    while (!stopping.signal.aborted) {
      wanted = false;
      const claimed = await persistently(claim);
      if (!claimed) return;
      await execute(claimed, false);
      await tidyUp();
    }
  }

  function kick(resumable?: Running): void {
    wanted = true;
    if (!on || working || scheduled || stopping.signal.aborted) return;
    scheduled = true;
    // Not at once: whoever has just asked for a deploy gets it as `queued` first.
    setImmediate(() => {
      scheduled = false;
      if (stopping.signal.aborted) return;
      working = work(resumable)
        .catch(report)
        .finally(() => {
          working = undefined;
          // Whoever came between the last look and this moment.
          if (wanted) kick();
        });
    });
  }

  return {
    /** Something may have become ready to run. */
    kick: (): void => kick(),
    start(): void {
      on = true;
      kick(store.running());
    },
    running: (): Session | undefined => session,
    async stop(graceMs: number): Promise<void> {
      stopping.abort();
      // What of that is left is done at the next start.
      if (isTidying) return;
      const ended = working ?? Promise.resolve();
      await within(graceMs, ended);
      if (!session) return;
      try {
        session.forgive();
      } catch (error) {
        report(error);
      }
      session.abort("handover");
      await within(handoverMs, ended);
      session?.leave();
    },
  };
}
