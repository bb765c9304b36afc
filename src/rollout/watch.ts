import { setTimeout as sleep } from "node:timers/promises";
import { type Answer, ask, describe, isHealthy, question } from "./ask.js";
import type { Wanted } from "./definition.js";
import { diedInWatch, errorLine } from "./faults.js";
import type { Pm2 } from "./pm2.js";
import type { StepIo, Target } from "./types.js";
import { createWitness } from "./witness.js";

/** Between two questions. Milliseconds. */
const everyMs = 200;
/** Bad answers in the whole watch that condemn the release: one may be anybody's. */
const tolerated = 2;

/** Watches the instances of a live release for `health.watch`. Fault `died_in_watch`. */
export async function watch(pm2: Pm2, wanted: readonly Wanted[], target: Target, io: StepIo): Promise<void> {
  const { app } = target;
  const { signal } = io;
  const until = Date.now() + app.health.watch;
  const names = wanted.map(({ name }) => name);
  const witness = await createWitness(pm2, names, io.log);
  try {
    const live = (await pm2.list()).filter(
      ({ name, marks }) => names.includes(name) && marks.release === target.release.name,
    );
    for (const { name, count } of wanted) {
      const online = live.filter((process) => process.name === name && process.status === "online").length;
      if (online < count) throw diedInWatch(`only ${online} of ${count} instances of ${name} run`);
    }
    for (const { pmId } of live) witness.follow(pmId);
    const checkEnded = () => {
      for (const { pmId, name, number } of live) {
        const { ended, output } = witness.of(pmId);
        const line = errorLine(output);
        if (ended) throw diedInWatch(`instance ${number} of ${name} ended${line ? ` with: ${line}` : ""}`);
      }
    };

    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal]);
    let bad = 0;
    let last: Answer | undefined;
    const asking = (async () => {
      while (app.port !== undefined && !either.aborted) {
        const answer = await ask({ ...question(app, app.port), signal: either });
        if (either.aborted) return;
        if (!isHealthy(app, answer)) {
          bad++;
          last = answer;
        }
        await sleep(everyMs);
      }
    })();
    try {
      while (Date.now() < until) {
        await witness.next(Math.max(1, Math.min(250, until - Date.now())), signal);
        signal.throwIfAborted();
        checkEnded();
        if (bad > tolerated && last) {
          throw diedInWatch(`GET ${app.health.path ?? "/"} ${describe(last)} (${bad} times)`);
        }
      }
    } finally {
      over.abort();
      await asking;
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
