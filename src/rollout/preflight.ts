import type { Fault } from "../domain/fault.js";
import { type Answer, ask, describe, isHealthy, question } from "./ask.js";
import type { Booter } from "./boot.js";
import type { Wanted } from "./definition.js";
import * as faults from "./faults.js";
import type { StepIo, Target } from "./types.js";

/** Between two questions, before it is proven and during the soak. Milliseconds. */
const eagerMs = 50;
const soakMs = 250;

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end, { once: true });
    if (signal.aborted) end();
  });

/** How long a release that is not healthy is waited for without a word. Milliseconds. */
const silentMs = 3_000;

/** What a release showed aside, for its rollout to go by. Milliseconds. */
export interface Proof {
  /** That it answered badly after it had begun to listen, before its first good answer. */
  warmUpMs: number;
  /** Its slowest good answer. */
  slowestMs: number;
}

/**
 * Boots the one that serves the port aside, on a private port, and asks it until it was healthy
 * `health.successes` times in a row within `health.ready`, then through `health.soak`. It gets
 * `DROPLESS_PREFLIGHT=1` and an instance number that none of the serving ones has.
 */
export async function preflight(
  { boot, freePort }: Booter,
  wanted: Wanted,
  { app, deploy }: Target,
  { log, signal, stopwatch }: StepIo,
): Promise<Proof> {
  const who = wanted.name;
  const port = app.port as number;
  const aside = await freePort();
  const asked = question(app, aside);
  const spec = wanted.spec(wanted.count);
  let output = "";
  let listens: number | undefined;
  let rejectedAt: number | undefined;
  const elsewhere = new Set<number>();
  let fault: Fault | undefined;
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  const heard = new AbortController();
  const news = AbortSignal.any([either, heard.signal]);
  let booted: (() => void) | undefined;
  const onListening = () => {
    listens ??= performance.now();
    booted?.();
    heard.abort();
  };

  const end = boot({
    command: wanted.command,
    cwd: spec.definition.cwd,
    ...wanted.account,
    env: {
      ...spec.env,
      ...wanted.aside,
      [spec.instanceVar]: String(spec.number),
      PORT: String(aside),
      DROPLESS_PREFLIGHT: "1",
      DROPLESS_PREFLIGHT_PORT: String(aside),
      // It has nothing to drain.
      DROPLESS_DRAIN: "off",
    },
    marker: deploy,
    onOutput(stream, text) {
      output = (output + text).slice(-64 * 1024);
      if (stream === "stderr" && text.includes("UnhandledPromiseRejection")) rejectedAt ??= performance.now();
      log.write(stream, text);
    },
    onMessage({ type, data }) {
      if (type === "dropless:listening") onListening();
      const found = (data as { port?: unknown } | undefined)?.port;
      if (type === "dropless:listening-elsewhere" && typeof found === "number") {
        // An app that takes PORT at its word listens on the private port itself.
        if (found === aside) onListening();
        else elsewhere.add(found);
      }
    },
    onExit(code) {
      fault ??=
        listens === undefined
          ? faults.crashedAtBoot(who, output, code ?? undefined)
          : faults.died(who, output);
      over.abort();
    },
  });
  booted = stopwatch?.begin();

  let last: Answer | undefined;
  let slowestMs = 0;
  let soaking: (() => void) | undefined;
  const isGood = async (): Promise<boolean> => {
    const sent = performance.now();
    last = await ask({ ...asked, signal: either });
    signal.throwIfAborted();
    if (fault) throw fault;
    if ("status" in last) onListening();
    const well = isHealthy(app, last);
    if (well) slowestMs = Math.max(slowestMs, performance.now() - sent);
    return well;
  };

  try {
    const began = performance.now();
    let warmUp: number | undefined;
    let told = false;
    for (let healthy = 0; healthy < app.health.successes; ) {
      if (await isGood()) {
        healthy++;
        warmUp ??= performance.now() - (listens ?? began);
        continue;
      }
      healthy = 0;
      if (
        listens === undefined &&
        rejectedAt !== undefined &&
        performance.now() - rejectedAt > faults.stuckMs
      ) {
        throw faults.crashedAtBoot(who, output);
      }
      if (!told && performance.now() - began > silentMs) {
        told = true;
        const what =
          listens === undefined
            ? "does not listen yet"
            : `is not healthy yet: GET ${app.health.path ?? "/"} ${describe(last as Answer)}`;
        log.say(`${who} ${what}; it is given ${app.health.ready / 1000} s`);
      }
      if (performance.now() - began > app.health.ready) {
        if (listens !== undefined)
          throw faults.unhealthy(who, app.health.path ?? "/", describe(last as Answer));
        if (elsewhere.size > 0) throw faults.listensElsewhere(who, port, [...elsewhere]);
        throw faults.neverListened(who, port, app.health.ready, output);
      }
      await pause(eagerMs, listens === undefined ? news : either);
    }
    log.say(`${who} is healthy on a private port after ${Math.round(performance.now() - began)} ms`);
    const soaked = performance.now() + app.health.soak;
    soaking = stopwatch?.begin();
    for (let bad = 0; performance.now() < soaked; ) {
      bad = (await isGood()) ? 0 : bad + 1;
      if (bad === 2) throw faults.unhealthy(who, app.health.path ?? "/", describe(last as Answer));
      await pause(Math.min(soakMs, soaked - performance.now()), either);
      signal.throwIfAborted();
      if (fault) throw fault;
    }
    return { warmUpMs: warmUp ?? 0, slowestMs };
  } finally {
    // What it prints and how it ends from here on is of no interest.
    fault = faults.died(who, "");
    booted?.();
    soaking?.();
    await end();
  }
}
