import { setTimeout as wait } from "node:timers/promises";
import { Fault, toFault } from "../domain/fault.js";
import type { DeployEvent, DeployView } from "../http/wire.js";
import type { View } from "./view/view.js";

/** The part of the client that following needs. */
export interface Followable {
  get(id: string): Promise<DeployView>;
  followEvents(id: string, options: { after?: string; signal?: AbortSignal }): AsyncIterable<DeployEvent>;
}

interface FollowOptions {
  client: Followable;
  view: View;
  signal?: AbortSignal;
  /** How long the daemon may be away before it is given up, milliseconds. */
  patienceMs?: number;
  firstPauseMs?: number;
}

const passes = new Set(["no_daemon", "stopping", "rate_limited"]);

/**
 * Shows a deploy until it has ended, and then the one that superseded it, to the last. A daemon that restarts
 * meanwhile is waited for, and the log goes on behind the last event that was seen.
 *
 * Throws the client's Fault for what waiting cannot cure, `no_daemon` after `patienceMs`, and `interrupted`
 * when `signal` is aborted.
 */
export async function follow(first: string, options: FollowOptions): Promise<DeployView> {
  const { view } = options;
  let id = first;
  for (;;) {
    const deploy = await persist(() => options.client.get(id), options);
    view.begin(deploy);
    const ended = await followOne(deploy, options);
    if (ended.status !== "superseded" || !ended.supersededBy) return ended;
    view.note(`superseded by ${ended.supersededBy}, which stands for both; following that one`);
    id = ended.supersededBy;
  }
}

async function followOne(deploy: DeployView, options: FollowOptions): Promise<DeployView> {
  let after: string | undefined;
  return persist(async (alive) => {
    for await (const event of options.client.followEvents(deploy.id, { after, signal: options.signal })) {
      alive();
      if (event.event === "end") return event.data;
      after = event.id;
      options.view.event(event);
      if (event.event === "step" && event.data.name === "fetch" && event.data.status === "succeeded")
        options.view.update(await options.client.get(deploy.id));
    }
    throw new Fault(
      "no_daemon",
      "The daemon closed the connection before the deploy had ended",
      `The deploy goes on when the daemon runs again: dropless logs ${deploy.id} -f`,
    );
  }, options);
}

/** Tries again, with growing pauses, while the daemon is away; `alive` tells that it is back. */
async function persist<T>(
  attempt: (alive: () => void) => Promise<T>,
  { view, signal, patienceMs = 300_000, firstPauseMs = 250 }: FollowOptions,
): Promise<T> {
  let lostAt: number | undefined;
  let pause = firstPauseMs;
  for (;;) {
    try {
      return await attempt(() => {
        if (lostAt !== undefined) view.back();
        lostAt = undefined;
        pause = firstPauseMs;
      });
    } catch (thrown) {
      if (signal?.aborted) throw interrupted();
      const fault = toFault(thrown);
      if (!passes.has(fault.code)) throw fault;
      if (lostAt === undefined) view.lost();
      lostAt ??= performance.now();
      if (performance.now() - lostAt > patienceMs) throw fault;
      await wait(pause, undefined, { signal }).catch(() => {
        throw interrupted();
      });
      pause = Math.min(pause * 2, 5000);
    }
  }
}

const interrupted = (): Fault => new Fault("interrupted", "Stopped following", "");
