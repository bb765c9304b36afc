import { setTimeout as sleep } from "node:timers/promises";
import type { AppConfig } from "../config/schema.js";
import type { Fault } from "../domain/fault.js";
import type { Stopwatch } from "../domain/stopwatch.js";
import { type Answer, ask, describe, isHealthy, question } from "./ask.js";
import { startAsking } from "./asking.js";
import * as faults from "./faults.js";
import type { Pm2, Pm2Process } from "./pm2.js";
import type { Witness } from "./witness.js";

export interface Batch {
  app: AppConfig;
  processes: Pm2Process[];
  /** These serve the app's port. */
  serves: boolean;
  /** No other instance answers on the port: every answer is one of theirs. */
  alone: boolean;
  probeKey: string;
  /** How long after it has begun to listen an instance may still answer badly (milliseconds). */
  warmUpMs: number;
  /** How long it may listen without answering anything. */
  silentMs: number;
  signal: AbortSignal;
  /** Runs until all of them listen. */
  stopwatch?: Stopwatch;
}

const label = (process: Pm2Process): string => `instance ${process.number} of ${process.name}`;

/** How long after the last event something is looked at again; an event was missed when that helps. */
const lookMs = 250;
const askers = 4;

/** Why this process cannot be the one wanted; undefined while it still may. */
function ended(process: Pm2Process, witness: Witness): Fault | undefined {
  const sighting = witness.of(process.pmId);
  const stuck =
    !sighting.listens &&
    sighting.threwAt !== undefined &&
    performance.now() - sighting.threwAt > faults.stuckMs;
  if (!sighting.ended && !stuck) return undefined;
  return sighting.listens
    ? faults.died(label(process), sighting.output)
    : faults.crashedAtBoot(label(process), sighting.output, sighting.exitCode);
}

/** What PM2 itself says, in case an event was missed. */
async function confirm(pm2: Pm2, batch: Batch, witness: Witness): Promise<void> {
  const now = await pm2.list();
  for (const process of batch.processes) {
    const found = now.find(({ pmId, name }) => pmId === process.pmId && name === process.name);
    if (found?.status === "online" && found.restarts === process.restarts) continue;
    witness.of(process.pmId).ended = true;
    throw ended(process, witness);
  }
}

async function staysOnline(pm2: Pm2, batch: Batch, witness: Witness): Promise<void> {
  const until = performance.now() + Math.max(1000, batch.app.health.soak);
  while (performance.now() < until && !batch.signal.aborted) {
    await witness.next(Math.min(lookMs, until - performance.now()), batch.signal);
    for (const process of batch.processes) {
      const fault = ended(process, witness);
      if (fault) throw fault;
    }
  }
  batch.signal.throwIfAborted();
  await confirm(pm2, batch, witness);
}

interface Score {
  healthy: number;
  bad: number;
  /** Of its answers, how many are counted. */
  counted: number;
  last?: Answer;
}

/**
 * Asks through the shared port until each of the batch was seen to answer healthily `health.successes` times
 * in a row. A connection goes to any instance; who answered what, the preload tells.
 */
async function answersWell(pm2: Pm2, batch: Batch, witness: Witness): Promise<void> {
  const { app, processes, signal } = batch;
  const until = performance.now() + app.health.ready;
  const scores = new Map<number, Score>(
    processes.map(({ pmId }) => [pmId, { healthy: 0, bad: 0, counted: 0 }]),
  );
  let fault: Fault | undefined;

  const isProven = () => [...scores.values()].every(({ healthy }) => healthy >= app.health.successes);
  const count = (process: Pm2Process, answer: Answer) => {
    const score = scores.get(process.pmId) as Score;
    score.last = answer;
    const good = isHealthy(app, answer);
    score.healthy = good ? score.healthy + 1 : 0;
    score.bad = good ? 0 : score.bad + 1;
    const since = witness.of(process.pmId).listensSince ?? until - app.health.ready;
    if (score.bad >= 2 && performance.now() - since > batch.warmUpMs) {
      fault ??= faults.unhealthy(label(process), app.health.path ?? "/", describe(answer));
    }
  };
  const tally = () => {
    for (const process of processes) {
      const { answers } = witness.of(process.pmId);
      const score = scores.get(process.pmId) as Score;
      for (const status of answers.slice(score.counted)) count(process, { status });
      score.counted = answers.length;
      fault ??= ended(process, witness);
      const silentMs =
        answers.length > 0
          ? 0
          : performance.now() - (witness.of(process.pmId).listensSince ?? performance.now());
      if (silentMs > batch.silentMs && mute() === undefined) {
        fault ??= faults.unhealthy(
          label(process),
          app.health.path ?? "/",
          `had no answer for ${Math.round(silentMs)} ms`,
        );
      }
    }
  };
  /** It answers, but not where the preload can see it: then whatever answers is the only one there. */
  const mute = () => {
    const [only] = processes;
    const silent = only && processes.length === 1 && witness.of(only.pmId).answers.length === 0;
    return batch.alone && silent ? only : undefined;
  };

  const asking = startAsking(app, {
    probeKey: batch.probeKey,
    askers,
    // A report takes a moment: one that may be mute is asked slowly, so that the report comes first.
    pause: (answer) => (isHealthy(app, answer) && !batch.alone ? 10 : 50),
    onAnswer(answer) {
      const only = mute();
      if (only && "status" in answer) count(only, answer);
    },
    signal,
  });
  const booted = batch.stopwatch?.begin();
  try {
    for (tally(); !isProven() || fault; tally()) {
      if (processes.every(({ pmId }) => witness.of(pmId).listens)) booted?.();
      signal.throwIfAborted();
      if (fault) throw fault;
      if (performance.now() > until) throw late(batch, witness, scores);
      await witness.next(lookMs, signal);
    }
  } finally {
    booted?.();
    await asking.stop();
  }
  await confirm(pm2, batch, witness);
}

/** `ready` has passed: which of the ways not to be ready was it? */
function late(batch: Batch, witness: Witness, scores: Map<number, Score>): Fault {
  const { app, processes } = batch;
  const port = app.port as number;
  const missing = processes.filter(({ pmId }) => (scores.get(pmId)?.healthy ?? 0) < app.health.successes);
  const process = (missing[0] ?? processes[0]) as Pm2Process;
  const sighting = witness.of(process.pmId);
  if (sighting.listens) {
    const answer = scores.get(process.pmId)?.last;
    return faults.unhealthy(
      label(process),
      app.health.path ?? "/",
      answer ? describe(answer) : "had no answer",
    );
  }
  if (sighting.elsewhere.size > 0) {
    return faults.listensElsewhere(label(process), port, [...sighting.elsewhere]);
  }
  return faults.neverListened(label(process), port, app.health.ready, sighting.output);
}

/**
 * Resolves when every process of the batch is proven: online, not restarted, and seen to answer healthily
 * through the shared port. Throws the Fault that says what is wrong with one of them.
 */
export async function prove(pm2: Pm2, batch: Batch, witness: Witness): Promise<void> {
  if (batch.serves) return answersWell(pm2, batch, witness);
  const waited = batch.stopwatch?.begin();
  await staysOnline(pm2, batch, witness).finally(waited);
}

/** At most this long, for instances that hang. Milliseconds. */
const surveyMs = 1500;

/** Asks until each of these has answered twice, or time is up: to know which of them answer badly, or not at all. */
export async function survey(
  app: AppConfig,
  processes: readonly Pm2Process[],
  witness: Witness,
  { probeKey, signal }: { probeKey: string; signal: AbortSignal },
): Promise<void> {
  const until = performance.now() + surveyMs;
  const isDone = () => processes.every(({ pmId }) => witness.of(pmId).answers.length >= 2);
  const asking = startAsking(app, { probeKey, askers, pause: () => 10, onAnswer: () => {}, signal });
  while (!isDone() && performance.now() < until && !signal.aborted) {
    await witness.next(Math.max(1, until - performance.now()), signal);
  }
  await asking.stop();
}

/** Resolves when the port answers healthily again, `health.ready` is over, or `signal` aborts. */
export async function answers(app: AppConfig, signal?: AbortSignal): Promise<void> {
  const until = performance.now() + app.health.ready;
  const asked = question(app, app.port as number);
  while (!signal?.aborted && performance.now() < until && !isHealthy(app, await ask(asked))) await sleep(50);
}
