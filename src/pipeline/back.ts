import { setTimeout as sleep } from "node:timers/promises";
import { Fault } from "../domain/fault.js";
import type { StepIo } from "../rollout/types.js";
import type { Context } from "./context.js";
import { leaving, liveOf } from "./live.js";

/** A second try for what may pass, PM2 coming up again for example. Milliseconds. */
const pauseMs = 2_000;

async function twice(io: StepIo, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    io.signal.throwIfAborted();
    io.log.say(`Trying again: ${error instanceof Error ? error.message : String(error)}`);
    await sleep(pauseMs);
    await work();
  }
}

/** The first deploy of an app: what ran before dropless knew it is to run again. */
async function withdraw(context: Context, io: StepIo): Promise<void> {
  const { app, recorder, releases, rollout } = context;
  await twice(io, () => rollout.withdraw(app, io));
  if (recorder.app().live?.deploy === recorder.deploy.id) recorder.live(undefined);
  if (releases.current() === recorder.deploy.release) releases.activate(undefined);
}

/**
 * Makes the previous release the live one again, whatever of the new one had come to be. Idempotent: after a crash
 * it is simply done once more. `automatic`: the release was bad (and not a person who changed their mind), so
 * that what it contains is not deployed again by a late delivery.
 */
export async function putBack(context: Context, signal: AbortSignal, automatic: boolean): Promise<void> {
  const { app, recorder, releases, rollout, env, log } = context;
  const { previous, id, commit } = recorder.deploy;
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
  await twice(io, () =>
    rollout.converge({ app, release, deploy: live.deploy, env }, { ...io, trusted: true }),
  );
  const left = automatic
    ? await leaving(context, { sha: commit.sha, deploy: id, automatic: true })
    : recorder.app().left;
  recorder.live(live, live.sha === commit.sha ? recorder.app().left : left);
  if (releases.current() !== previous) releases.activate(release);
  log.say(`${previous} serves again`);
}
