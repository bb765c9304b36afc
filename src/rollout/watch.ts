import { type Answer, describe, isHealthy } from "./ask.js";
import { startAsking } from "./asking.js";
import type { Wanted } from "./definition.js";
import { diedInWatch, errorLine } from "./faults.js";
import { lastWords } from "./last-words.js";
import type { Pm2, Pm2Process } from "./pm2.js";
import type { StepIo, Target } from "./types.js";
import { createWitness } from "./witness.js";

/** Between two questions. Milliseconds. */
const everyMs = 200;
/** Bad answers in the whole watch that condemn the release: one may be anybody's. */
const tolerated = 2;

const ending = ({ number, name }: Pm2Process, output: string): string => {
  const line = errorLine(output);
  return `instance ${number} of ${name} ended${line ? ` with: ${line}` : ""}`;
};

/** Watches the instances of a live release for `health.watch`. Fault `died_in_watch`. */
export async function watch(pm2: Pm2, wanted: readonly Wanted[], target: Target, io: StepIo): Promise<void> {
  const { app } = target;
  const { signal } = io;
  const until = performance.now() + app.health.watch;
  const names = wanted.map(({ name }) => name);
  const witness = await createWitness(pm2, names, io.log);
  try {
    const live = (await pm2.list()).filter(
      ({ name, marks }) => names.includes(name) && marks.release === target.release.name,
    );
    // Between its proof and now nobody listened: PM2 may even have started it again.
    for (const process of live) {
      const isNew = process.marks.deploy === target.deploy;
      if (process.status === "online" && !(isNew && process.restarts > 0)) continue;
      // PM2 may still be writing them.
      await witness.next(250, signal);
      const words = lastWords(process);
      if (words) io.log.write("stderr", words);
      throw diedInWatch(ending(process, words));
    }
    for (const { name, count } of wanted) {
      const online = live.filter((process) => process.name === name && process.status === "online").length;
      if (online < count) throw diedInWatch(`only ${online} of ${count} instances of ${name} run`);
    }
    for (const { pmId } of live) witness.follow(pmId);
    const checkEnded = () => {
      for (const process of live) {
        const { ended, output } = witness.of(process.pmId);
        if (ended) throw diedInWatch(ending(process, output));
      }
    };

    let bad = 0;
    const checkAnswers = () => {
      if (bad > tolerated)
        throw diedInWatch(`GET ${app.health.path ?? "/"} ${describe(last)} (${bad} times)`);
    };
    let last: Answer = { error: "had no answer" };
    const asking =
      app.port !== undefined &&
      startAsking(app, {
        askers: 1,
        pause: () => everyMs,
        onAnswer(answer) {
          if (isHealthy(app, answer)) return;
          bad++;
          last = answer;
        },
        signal,
      });
    const watched = io.stopwatch?.begin();
    try {
      while (performance.now() < until) {
        await witness.next(Math.max(1, Math.min(250, until - performance.now())), signal);
        signal.throwIfAborted();
        checkEnded();
        checkAnswers();
      }
      watched?.();
      // Those that hang are known when their time is up.
      if (asking) await asking.settle();
      signal.throwIfAborted();
      checkAnswers();
    } finally {
      watched?.();
      if (asking) await asking.stop();
    }
    const now = await pm2.list();
    for (const { pmId, name, number, restarts } of live) {
      const found = now.find((process) => process.pmId === pmId && process.name === name);
      if (found?.status !== "online" || found.restarts !== restarts) {
        throw diedInWatch(`instance ${number} of ${name} ended or was started again`);
      }
    }
  } finally {
    witness.stop();
  }
}
