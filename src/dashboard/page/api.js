/** The daemon's HTTP interface, by addresses relative to the page: it works below any prefix. */
import { createSseReader } from "./sse.js";

/** @typedef {import("./sse.js").StreamEvent} StreamEvent */
/** @typedef {Error & { status: number, code: string, hint: string }} Problem */

/** A daemon sends a heartbeat every 10 s; a connection that is silent for longer is dead. */
const silenceMs = 35_000;

/** @param {number} status @param {any} [body] @returns {Problem} */
function problem(status, body) {
  if (body?.code) return Object.assign(new Error(body.detail), { status, code: body.code, hint: body.hint });
  return Object.assign(new Error("The daemon does not answer"), {
    status,
    code: "away",
    hint: "It may be restarting; this page goes on trying.",
  });
}

/** @param {unknown} error @returns {error is Problem} */
const isProblem = (error) => error instanceof Error && "code" in error;

/**
 * @param {string} method @param {string} path @param {unknown} [body] @returns {Promise<any>}
 * @throws {Problem} what the daemon said, or code `away` when it said nothing
 */
export async function call(method, path, body) {
  let response;
  try {
    response = await fetch(path, {
      method,
      cache: "no-store",
      signal: AbortSignal.timeout(30_000),
      headers: {
        // Proves that this page asks, and no other: see same-origin.ts.
        "x-dropless-page": "1",
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch {
    throw problem(0);
  }
  const answer = await response.json().catch(() => undefined);
  if (!response.ok || answer === undefined) throw problem(response.status, answer);
  return answer;
}

/** @param {string} path */
export const get = (path) => call("GET", path);

/** @param {number} ms @param {AbortSignal} signal */
const pause = (ms, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve(undefined);
    });
  });

/**
 * All events of a deploy from the first to `end`, each once and in order, also across a restart of the daemon.
 * @param {string} id
 * @param {{ signal: AbortSignal, onEvents(events: StreamEvent[]): void, onState(state: "live" | "lost" | "ended"): void }} options
 * @throws {Problem} when coming back makes no sense: signed out, no such deploy
 */
export async function follow(id, { signal, onEvents, onState }) {
  let last = "";
  let wait = 400;
  while (!signal.aborted) {
    try {
      for await (const events of connection(id, last, signal)) {
        wait = 400;
        onState("live");
        if (events.length === 0) continue;
        last = events[events.length - 1]?.id || last;
        onEvents(events);
        if (events.some(({ event }) => event === "end")) return onState("ended");
      }
    } catch (error) {
      if (signal.aborted) return;
      if (isProblem(error) && [401, 403, 404].includes(error.status)) throw error;
    }
    onState("lost");
    await pause(wait, signal);
    wait = Math.min(5000, wait * 1.6);
  }
}

/** @param {string} id @param {string} last @param {AbortSignal} signal */
async function* connection(id, last, signal) {
  const dead = new AbortController();
  const end = () => dead.abort();
  signal.addEventListener("abort", end);
  let watch = setTimeout(end, silenceMs);
  try {
    const response = await fetch(`deploys/${id}/events`, {
      cache: "no-store",
      signal: dead.signal,
      headers: { accept: "text/event-stream", ...(last && { "last-event-id": last }) },
    });
    if (!response.ok || !response.body) {
      throw problem(response.status, await response.json().catch(() => undefined));
    }
    yield [];
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    const read = createSseReader();
    let breath = performance.now();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(watch);
      watch = setTimeout(end, silenceMs);
      yield read(decoder.decode(value, { stream: true }));
      // A long log that is all there already must not keep the page from painting.
      if (performance.now() - breath > 12) {
        await new Promise((resolve) => setTimeout(resolve));
        breath = performance.now();
      }
    }
  } finally {
    clearTimeout(watch);
    signal.removeEventListener("abort", end);
    dead.abort();
  }
}
