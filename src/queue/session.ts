import type { Running } from "../domain/deploy.js";
import { Fault } from "../domain/fault.js";
import type { DeployLogs, Recorder } from "../domain/ports.js";
import { forgiven } from "../domain/resumes.js";
import type { Journal } from "./journal.js";
import type { Store } from "./store.js";
import { withStep } from "./transitions.js";

interface Deps {
  store: Store;
  journal: Journal;
  logs: DeployLogs;
  now: () => number;
}

/** The one deploy that runs: what is known of it now, and the only way to change that. */
export function createSession({ store, journal, logs, now }: Deps, claimed: Running) {
  let deploy = claimed;
  let over = false;
  const controller = new AbortController();
  // A second one, since a signal aborts only once: who stops the daemon may come after who cancels the deploy.
  const ending = new AbortController();

  function save(next: Running, also: () => void = () => {}): void {
    // A pipeline that was not patient enough to be stopped must not write beside its successor.
    if (over)
      throw new Fault(
        "handed_over",
        "This deploy is no longer run by this process.",
        "It goes on at the next start.",
      );
    store.transaction(() => {
      store.update(next);
      also();
    });
    deploy = next;
  }

  const recorder: Recorder = {
    get deploy() {
      return deploy;
    },
    step(name, status, waitedMs, reason) {
      save(withStep(deploy, name, status, now(), waitedMs, reason));
      const { durationMs, ownMs } = deploy.steps.find((step) => step.name === name) ?? {};
      // One that begins has neither.
      logs.open(deploy.id).step(name, status, durationMs, ownMs);
      journal.publish(deploy);
    },
    commit(commit) {
      save({ ...deploy, commit });
      journal.publish(deploy);
    },
    release(name) {
      save({ ...deploy, release: name });
      journal.publish(deploy);
    },
    previous(name) {
      save({ ...deploy, previous: name });
      journal.publish(deploy);
    },
    receipt(receipt) {
      save({ ...deploy, receipt });
      journal.publish(deploy);
    },
    decide(decision) {
      save({ ...deploy, decision });
      journal.publish(deploy);
    },
    live(live, left) {
      save(deploy, () => store.setApp(deploy.app, { ...store.app(deploy.app), live, left }));
      journal.publish(deploy);
    },
    app: () => store.app(deploy.app),
  };

  return {
    recorder,
    signal: controller.signal,
    ending: ending.signal,
    get deploy() {
      return deploy;
    },
    /** Durable before anything is done about it, so that a crash in between does not forget a person's wish. */
    requestCancel(): Running {
      if (deploy.cancelRequested) return deploy;
      save({ ...deploy, cancelRequested: true });
      journal.publish(deploy);
      controller.abort("cancel");
      return deploy;
    },
    abort(reason: "cancel" | "handover"): void {
      if (reason === "handover") ending.abort(reason);
      controller.abort(reason);
    },
    /** A polite stop is not the deploy's fault. */
    forgive(): void {
      if (deploy.resumes && !over) save(forgiven(deploy));
    },
    /** From now on nothing is written for it here. */
    leave(): void {
      over = true;
    },
  };
}

export type Session = ReturnType<typeof createSession>;
