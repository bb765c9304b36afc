import { setTimeout as sleep } from "node:timers/promises";
import { Fault } from "../domain/fault.js";
import type { AppState, LiveRelease } from "../domain/request.js";
import type { StepIo } from "../rollout/types.js";
import type { Context } from "./context.js";
import { leaving, liveOf } from "./live.js";

/** A second try for what may pass, PM2 coming up again for example. */
async function twice(io: StepIo, pauseMs: number, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    io.signal.throwIfAborted();
    io.log.say(`Trying again: ${error instanceof Error ? error.message : String(error)}`);
    await sleep(pauseMs, undefined, { signal: io.signal }).catch(() => io.signal.throwIfAborted());
    await work();
  }
}

/** The first deploy of an app: what ran before dropless knew it is to run again. */
async function withdraw(context: Context, io: StepIo): Promise<void> {
  const { app, recorder, releases, rollout, pauseMs } = context;
  await twice(io, pauseMs, () => rollout.withdraw(app, io));
  const wasLive = recorder.app().live?.deploy === recorder.deploy.id;
  if (wasLive) await persist(io, pauseMs, () => recorder.live(undefined));
  if (releases.current() === recorder.deploy.release) releases.activate(undefined);
}

/** The store may be full for a while; what serves is right already, so the note of it can wait for room. */
async function persist(io: StepIo, pauseMs: number, write: () => void): Promise<void> {
  for (;;) {
    try {
      return write();
    } catch (error) {
      if (io.signal.aborted) throw error;
      io.log.say(`Warning: this could not be written down yet: ${(error as Error).message}`);
      await sleep(pauseMs, undefined, { signal: io.signal }).catch(() => {});
    }
  }
}

/** What is left now, when the deploy's own release was taken back. */
async function leftNow(context: Context, live: LiveRelease, bad: boolean): Promise<AppState["left"]> {
  const { id, trigger, commit } = context.recorder.deploy;
  const { left } = context.recorder.app();
  // The way back from a rollback leads to what that rollback had left.
  const next =
    bad && trigger !== "rollback" && live.sha !== commit.sha
      ? await leaving(context, { sha: commit.sha, deploy: id, automatic: true })
      : left;
  return next?.sha === live.sha ? undefined : next;
}

/**
 * Makes the previous release the live one again, whatever of the new one had come to be. Idempotent: after a crash
 * it is simply done once more. `automatic`: the release was bad (and not a person who changed their mind), so
 * that what it contains is not deployed again by a late delivery.
 */
export async function putBack(context: Context, signal: AbortSignal, automatic: boolean): Promise<void> {
  const { app, recorder, releases, rollout, env, log, pauseMs } = context;
  const { previous, id } = recorder.deploy;
  const io: StepIo = { log, signal };
  if (previous === undefined) return withdraw(context, io);
  const release = releases.find(previous);
  if (!release) {
    throw new Fault(
      "release_not_found",
      `The previous release ${previous} is no longer there`,
      "Deploy a commit that is known to be good.",
    );
  }
  log.say(`Going back to ${previous}`);
  const live = liveOf(context, previous);
  await twice(io, pauseMs, () =>
    rollout.converge({ app, release, deploy: live.deploy, env }, { ...io, trusted: true }),
  );
  const left = await leftNow(context, live, automatic || recorder.app().live?.deploy === id);
  await persist(io, pauseMs, () => recorder.live(live, left));
  if (releases.current() !== previous) releases.activate(release);
  log.say(`${previous} serves again`);
}
