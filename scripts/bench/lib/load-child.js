/**
 * The load itself, in a process of its own so that whoever measures does not disturb it. Started by load.js
 * with the options as JSON in the first argument; answers "snapshot" and "stop" over IPC.
 */
import { createHash } from "node:crypto";
import http from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

const options = JSON.parse(process.argv[2]);
const { hostname, port } = new URL(options.url);
if (hostname !== "127.0.0.1") throw new Error("the load goes to 127.0.0.1 only");

const started = performance.now();
const state = { total: 0, failed: 0, bad: 0, failures: [], releases: {}, byKind: {}, maxGapMs: 0 };
let lastSuccess = started;
let stopping = false;

const note = (ok, kind, method, message) => {
  const now = performance.now();
  state.total += 1;
  state.byKind[kind] = (state.byKind[kind] ?? 0) + 1;
  if (ok) {
    state.maxGapMs = Math.max(state.maxGapMs, now - lastSuccess);
    lastSuccess = now;
    return;
  }
  state.failed += 1;
  if (state.failures.length < 200)
    state.failures.push({ kind, method, message, atMs: Math.round(now - started) });
};

/** The answer of a release that is bad itself: counted apart, since what it was asked reached nobody else. */
const badRelease = new Error("answered by a bad release");

/** Resolves to the text of the answer; rejects on anything a user would call a failure. */
const request = (agent, method, path, body) =>
  new Promise((resolve, reject) => {
    let answered = false;
    const headers = { ...(options.headers ?? {}) };
    if (body) Object.assign(headers, { "content-type": "text/plain", "content-length": body.length });
    const req = http.request({ host: hostname, port, method, path, agent, headers }, (res) => {
      const chunks = [];
      answered = true;
      res.on("data", (chunk) => chunks.push(chunk));
      res.on("error", reject);
      res.on("close", () => {
        const text = Buffer.concat(chunks).toString();
        if (res.statusCode === 500 && options.badAnswers?.includes(text)) reject(badRelease);
        else if (!res.complete) reject(new Error(`cut off after ${text.length} bytes`));
        else if (res.statusCode !== 200) reject(new Error(`status ${res.statusCode}: ${text.slice(0, 80)}`));
        else resolve(text);
      });
    });
    const timer = setTimeout(() => req.destroy(new Error("no answer in time")), options.timeoutMs);
    req.on("error", reject);
    req.on("close", () => {
      clearTimeout(timer);
      if (!answered) reject(new Error("closed without an answer"));
    });
    req.end(body);
  });

const describe = (error) => [error.code, error.message].filter(Boolean).join(" ");

async function client(number) {
  const kind = options.kinds[number % options.kinds.length];
  // Repeatable, and not in step with the other clients.
  let seed = number + 1;
  const next = () => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return seed >>> 8;
  };
  const agent = kind === "fresh" ? false : new http.Agent({ keepAlive: true, maxSockets: 1 });
  for (let turn = number; !stopping && state.total < options.maxRequests; turn++) {
    const method = turn % 2 ? "POST" : "GET";
    const ms = options.handlers[next() % options.handlers.length];
    const body = method === "POST" ? Buffer.alloc(100 + (next() % 3000), "x") : undefined;
    const sum = body ? createHash("sha256").update(body).digest("hex").slice(0, 12) : "-";
    const path = ms === 0 ? options.path : `${options.slowPath}?ms=${ms}`;
    try {
      const text = await request(agent, method, path, body);
      const [, release, gotMethod, gotSum] = /^ok (\S+) (\S+) (\S+)\n$/.exec(text) ?? [];
      const right = options.check === false || (gotMethod === method && gotSum === sum);
      if (release) state.releases[release] = (state.releases[release] ?? 0) + 1;
      note(right, kind, method, `wrong body: ${text.slice(0, 80)}`);
    } catch (error) {
      if (error === badRelease) state.bad += 1;
      else note(false, kind, method, describe(error));
      await sleep(50);
    }
    await sleep(kind === "slow" ? 300 + (next() % 2400) : options.pauseMs);
  }
  if (agent) agent.destroy();
}

const result = () => ({
  ...state,
  maxGapMs: Math.round(Math.max(state.maxGapMs, performance.now() - lastSuccess)),
  seconds: (performance.now() - started) / 1000,
});

const clients = Array.from({ length: options.clients }, (_, number) => client(number));
const bound = setTimeout(() => {
  stopping = true;
  Promise.all(clients).then(() => process.send({ type: "bound", result: result() }, () => process.exit(3)));
}, options.maxSeconds * 1000);

process.on("disconnect", () => process.exit(4));
process.on("message", async (message) => {
  if (message === "snapshot") process.send({ type: "snapshot", result: result() });
  if (message !== "stop") return;
  clearTimeout(bound);
  // The gap up to now counts, the idle time after the last request does not.
  const { maxGapMs } = result();
  stopping = true;
  await Promise.all(clients);
  process.send({ type: "result", result: { ...result(), maxGapMs } }, () => process.exit(0));
});
process.send({ type: "started" });
