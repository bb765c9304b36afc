import { type Deploy, isEnded } from "../domain/deploy.js";
import { Fault } from "../domain/fault.js";
import type { DeployLogs, Queue, RunDeploy } from "../domain/ports.js";
import type { AppState } from "../domain/request.js";
import { createJournal } from "./journal.js";
import { createLoop } from "./loop.js";
import type { Store } from "./store.js";
import { createSubmit } from "./submit.js";
import { tokenReads } from "./tokens.js";
import { canceled } from "./transitions.js";

export interface QueueDeps {
  store: Store;
  run: RunDeploy;
  logs: DeployLogs;
  /** Makes deploy ids. */
  ids: () => string;
  /** Milliseconds since 1970. */
  now?: () => number;
  /** What is left to do between two deploys, when nobody waits for it, and once at the start. */
  afterwards?: () => Promise<void>;
  /** Is this app configured? */
  isApp: (name: string) => boolean;
  /** Told of what cannot be passed on to anybody: a listener that throws, a store that cannot be written. */
  report?: (error: unknown) => void;
  /** How long a store that cannot be written is left alone before it is tried again, milliseconds. */
  retryMs?: number;
}

/** One deploy at a time over all apps, newest wins per app; every change persist → log → publish. */
export function createQueue(deps: QueueDeps): Queue {
  const { store, run, logs, ids, isApp, now = Date.now, report = () => {}, retryMs = 2000 } = deps;
  const journal = createJournal({ logs, report });
  const submit = createSubmit({ store, journal, ids, now, isApp });
  const loop = createLoop({
    store,
    journal,
    logs,
    run,
    afterwards: deps.afterwards,
    now,
    isApp,
    report,
    retryMs,
  });

  function cancel(id: string): Deploy {
    const deploy = store.get(id);
    if (!deploy)
      throw new Fault(
        "not_found",
        `There is no deploy ${id}.`,
        "`dropless list` shows the ids of the latest deploys.",
      );
    if (isEnded(deploy))
      throw new Fault(
        "not_cancelable",
        `This deploy has already ended: ${deploy.status}.`,
        "To go back to an earlier release, use `dropless rollback`.",
      );
    if (deploy.status === "queued") {
      const error = {
        code: "canceled",
        message: "A person canceled this deploy before it started.",
        hint: "Deploy again when you want it after all.",
      };
      const end = canceled(deploy, error, now());
      store.update(end);
      journal.status(end, { end: true });
      return end;
    }
    return cancelRunning(deploy.id) ?? deploy;
  }

  function cancelRunning(id: string): Deploy | undefined {
    const session = loop.running();
    if (session?.deploy.id === id) return session.requestCancel();
    // Claimed by a process that has died, and not taken up again yet: start() will see the wish.
    const deploy = store.get(id);
    if (deploy?.status !== "running") return deploy;
    const wished = { ...deploy, cancelRequested: true };
    store.update(wished);
    journal.publish(wished);
    return wished;
  }

  function setHold(app: string, hold: AppState["hold"]): AppState {
    const state = { ...store.app(app), hold };
    if (!isApp(app))
      throw new Fault(
        "app_unknown",
        `There is no app named ${app}.`,
        "Look at the names under `apps` in dropless.yaml.",
      );
    store.setApp(app, state);
    return state;
  }

  /** What waits for an app that was taken out of the configuration would wait for ever. */
  function dropUnknown(): void {
    for (const { deploy } of store.waiting()) {
      if (isApp(deploy.app)) {
        journal.attend(deploy.id);
        continue;
      }
      const error = {
        code: "app_unknown",
        message: `${deploy.app} is not in the configuration any more.`,
        hint: "Put it back under `apps` in dropless.yaml and deploy again.",
      };
      const end = canceled(deploy, error, now());
      store.update(end);
      journal.status(end, { end: true });
    }
  }

  return {
    deliver(delivery, requests) {
      const submissions = submit.deliver(delivery, requests);
      loop.kick();
      return submissions;
    },
    async deliverSoon(delivery, requests) {
      const submissions = await submit.deliverSoon(delivery, requests);
      loop.kick();
      return submissions;
    },
    ask(request) {
      const submission = submit.ask(request);
      if (request.trigger === "rollback") {
        const running = loop.running()?.deploy;
        if (running?.app === request.app) cancelRunning(running.id);
      }
      loop.kick();
      return submission;
    },
    cancel,
    hold: (app, reason, by) => setHold(app, { reason, by, since: new Date(now()).toISOString() }),
    resume(app) {
      const state = setHold(app, undefined);
      loop.kick();
      return state;
    },
    app: (app) => store.app(app),
    get: (id) => store.get(id),
    list: (filter) => store.list(filter),
    succeeded: (app, of) => store.succeeded(app, of),
    position: (id) => store.position(id),
    tokenReads: (token, id) => tokenReads(store, token, id, now()),
    subscribe: (listener) => journal.subscribe(listener),
    start() {
      dropUnknown();
      loop.start();
    },
    async stop({ graceMs }) {
      await loop.stop(graceMs);
      await journal.closeAll();
    },
  };
}
