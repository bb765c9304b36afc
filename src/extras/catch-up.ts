import { createHash } from "node:crypto";
import type { Logger } from "pino";
import type { AppConfig } from "../config/schema.js";
import { type Deploy, isByPerson } from "../domain/deploy.js";
import { toFault } from "../domain/fault.js";
import type { Queue } from "../domain/ports.js";
import type { AppState } from "../domain/request.js";

type App = Pick<AppConfig, "name" | "repository" | "branch" | "on" | "secrets">;

export interface CatchUpDeps {
  apps: App[];
  queue: Pick<Queue, "app" | "deliver" | "get" | "list">;
  /** The head of the app's branch at its origin. */
  originHead(app: App, signal: AbortSignal): Promise<string | undefined>;
  logger: Pick<Logger, "info" | "warn">;
  /** Between two looks, milliseconds; without it there is one look, at the start. */
  everyMs?: number;
}

/** How many of an app's deploys are looked through, in pages. */
const page = 100;
const pages = 10;

/**
 * Was `head` missed? `known` is the app's newest deploy of that commit, `live` the deploy that is live. A commit
 * that was ever dealt with is not missed, whatever became of it: failed, canceled, rolled back or left out. But
 * one that succeeded long ago is the head again when the branch was reset to it, unless a person chose
 * what is live instead. What was never live is a person's to begin.
 */
export function isMissed(
  head: string,
  state: AppState,
  known: Pick<Deploy, "status"> | undefined,
  live: Pick<Deploy, "trigger"> | undefined,
): boolean {
  if (!state.live || state.hold || state.live.sha === head) return false;
  if (!known) return true;
  return known.status === "succeeded" && !state.left && live !== undefined && !isByPerson(live.trigger);
}

/**
 * Finds pushes whose delivery never came (GitHub does not send one again) by asking the origins, and queues them
 * as the push would have been: everything that keeps a push from going backwards applies.
 */
export function createCatchUp({ apps, queue, originHead, logger, everyMs }: CatchUpDeps) {
  const stopping = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let looking: Promise<void> = Promise.resolve();
  // Without a secret an app takes no push at all.
  const concerned = apps.filter(({ on, secrets }) => on.includes("push") && secrets.length > 0);

  function knownDeploy(app: string, sha: string): Deploy | undefined {
    let before: string | undefined;
    for (let n = 0; n < pages; n++) {
      const { deploys, next } = queue.list({ app, limit: page, before });
      const found = deploys.find(({ commit, standsFor }) => commit.sha === sha || standsFor.includes(sha));
      if (found || !next) return found;
      before = next;
    }
    return undefined;
  }

  async function look(app: App): Promise<void> {
    if (!queue.app(app.name).live) return;
    const head = await originHead(app, stopping.signal);
    // Asking took a while: from here on nothing waits, so nothing changes in between.
    const state = queue.app(app.name);
    const live = state.live && queue.get(state.live.deploy);
    if (stopping.signal.aborted || !head || !isMissed(head, state, knownDeploy(app.name, head), live)) return;
    const id = `catch-up-${head}-${state.live?.deploy}`;
    const bodySha256 = createHash("sha256").update(`${app.name} ${id}`).digest("hex");
    const commit = { sha: head, message: "", author: "" };
    const ref = `refs/heads/${app.branch}`;
    const [made] = queue.deliver({ id, bodySha256 }, [{ app: app.name, trigger: "push", ref, commit }]);
    if (made?.kind === "queued")
      logger.info({ app: app.name, deploy: made.deploy.id, commit: head }, "catch-up: a push was missed");
  }

  /** One look at every app; what cannot be asked is told and left for the next time. */
  async function check(): Promise<void> {
    for (const app of concerned) {
      if (stopping.signal.aborted) return;
      try {
        await look(app);
      } catch (error) {
        if (stopping.signal.aborted) return;
        const { code, message, hint } = toFault(error);
        logger.warn({ app: app.name, code, hint }, `catch-up: ${message}`);
      }
    }
  }

  function run(): void {
    looking = check().then(() => {
      if (everyMs !== undefined && !stopping.signal.aborted) timer = setTimeout(run, everyMs).unref();
    });
  }

  return {
    check,
    start: run,
    async stop(): Promise<void> {
      stopping.abort();
      clearTimeout(timer);
      await looking;
    },
  };
}
