#!/usr/bin/env node
/**
 * Deliveries beside adnanh/webhook (Debian's package `webhook`), in turn, with the same load: unique signed deliveries answered a
 * second, of which dropless has stored each and the other has started `/bin/true` for each; wrongly signed ones refused
 * a second. Then dropless' answer times at a steady rate, idle and while a build keeps every core busy.
 *
 *   node scripts/bench/webhook.js [--runs 5] [--count 4000] [--connections 16] [--bytes 8192] [--rate 200] [--seconds 20] [--json FILE]
 *
 * `npm run build` first. Exits with 1 when an answer was not as it should be.
 */
import { fork, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { createHost, freePort } from "../soak/lib/host.js";

/** A build that holds, asleep or with every core busy, until it is told to go on. */
export const holdingBuild = `
import { existsSync, readFileSync } from "node:fs";
import { Worker, isMainThread } from "node:worker_threads";
const busy = readFileSync(process.argv[2] + "/mode", "utf8") === "busy";
const over = () => existsSync(process.argv[2] + "/go");
if (isMainThread) {
  console.log("holding");
  if (busy) for (let i = 0; i < ${cpus().length}; i++) new Worker(new URL(import.meta.url), { argv: process.argv.slice(2) });
  setInterval(() => over() && process.exit(), 100);
} else while (!over()) for (let i = 0; i < 1e7; i++);
`;

/** Sends deliveries from a process of its own. */
export async function send(options) {
  const child = fork(join(import.meta.dirname, "lib/deliveries-child.js"), { serialization: "advanced" });
  try {
    child.send(options);
    const { result, error } = await new Promise((resolve, reject) => {
      child.once("message", resolve);
      child.once("exit", (code) => reject(new Error(`the sender ended with ${code}`)));
    });
    if (error) throw new Error(error);
    if (result.faults.length > 0) throw new Error(`no answer: ${result.faults.slice(0, 3).join("; ")}`);
    return result;
  } finally {
    child.kill();
  }
}

const listening = async (port) => {
  for (;;) {
    const isOpen = await new Promise((resolve) => {
      const socket = connect(port, "127.0.0.1", () => resolve(true));
      socket.on("error", () => resolve(false)).on("connect", () => socket.destroy());
    });
    if (isOpen) return;
    await sleep(20);
  }
};

async function startOther(secret) {
  const dir = mkdtempSync(join(tmpdir(), "dropless-webhook-"));
  const port = await freePort();
  const parameter = { source: "header", name: "X-Hub-Signature-256" };
  const hook = {
    id: "deploy",
    "execute-command": "/bin/true",
    "http-methods": ["POST"],
    "trigger-rule": { match: { type: "payload-hmac-sha256", secret, parameter } },
    "trigger-rule-mismatch-http-response-code": 401,
  };
  writeFileSync(join(dir, "hooks.json"), JSON.stringify([hook]));
  const child = spawn(
    "webhook",
    ["-hooks", join(dir, "hooks.json"), "-ip", "127.0.0.1", "-port", String(port)],
    {
      stdio: "ignore",
    },
  );
  await listening(port);
  const children = () =>
    readdirSync(`/proc/${child.pid}/task`).some(
      (task) => readFileSync(`/proc/${child.pid}/task/${task}/children`, "utf8").trim() !== "",
    );
  return {
    port,
    path: "/hooks/deploy",
    /** Until every command it has started has ended. */
    async done() {
      while (children()) await sleep(2);
    },
    async end() {
      child.kill("SIGKILL");
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
export const quantile = (values, share) => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
};
const wanted = (statuses, ...codes) => {
  const others = Object.keys(statuses).filter((status) => !codes.includes(Number(status)));
  if (others.length > 0)
    throw new Error(`answered ${JSON.stringify(statuses)} instead of ${codes.join(" or ")}`);
};

export async function measureWebhook({
  runs = 5,
  count = 4000,
  connections = 16,
  bytes = 8192,
  rate = 200,
  seconds = 20,
} = {}) {
  const host = await createHost(["api"], ({ dir }) => ({ build: `node hold.js ${dir}` }));
  let other;
  try {
    await host.start();
    other = await startOther(host.secret);
    const own = { port: host.port, path: "/webhooks/deploy" };
    const theirs = { port: other.port, path: other.path };
    const load = { secret: host.secret, count, connections, bytes, fullName: "acme/api" };
    const hold = async (mode) => {
      rmSync(join(host.dir, "go"), { force: true });
      writeFileSync(join(host.dir, "mode"), mode);
      const { id } = await host.deliver("api", host.commit("api", { "hold.js": holdingBuild }));
      await host.until(`/deploys/${id}`, (it) => it.logTail?.includes("holding"));
    };
    const letGo = async () => {
      // What was delivered meanwhile has commits that no origin knows; only the newest is looked for, and fails.
      writeFileSync(join(host.dir, "go"), "");
      await host.until("/deploys?status=queued&limit=1", ({ deploys }) => deploys.length === 0);
      await host.until("/deploys?status=running&limit=1", ({ deploys }) => deploys.length === 0);
    };

    await hold("idle");
    const rates = { accepted: { dropless: [], webhook: [] }, refused: { dropless: [], webhook: [] } };
    // The first of each is not counted: both have to get warm.
    for (let run = 0; run <= runs; run++) {
      const put = (list, value) => run > 0 && list.push(value);
      const ours = await send({ ...load, ...own });
      wanted(ours.statuses, 202);
      put(rates.accepted.dropless, count / ours.seconds);
      const begun = await send({ ...load, ...theirs });
      wanted(begun.statuses, 200);
      put(rates.accepted.webhook, count / begun.seconds);
      await other.done();
      const refused = await send({ ...load, ...own, wrong: true });
      wanted(refused.statuses, 401, 429);
      put(rates.refused.dropless, count / refused.seconds);
      const alsoRefused = await send({ ...load, ...theirs, wrong: true });
      // A signature that does not fit is an error to it, not a rule that is not met.
      wanted(alsoRefused.statuses, 401, 500);
      put(rates.refused.webhook, count / alsoRefused.seconds);
    }
    const steady = {};
    for (const mode of ["idle", "busy"]) {
      if (mode === "busy") {
        await letGo();
        await hold("busy");
      }
      const result = await send({ ...load, ...own, count: rate * seconds, rate });
      wanted(result.statuses, 202);
      steady[mode] = result.latencies;
    }
    return report(rates, steady, { rate, seconds, runs, count, connections, bytes });
  } finally {
    await other?.end();
    await host.end();
  }
}

function report({ accepted, refused }, steady, settings) {
  const row = (what, own, reference, goal) => ({
    what,
    ratio: Number((median(own) / median(reference)).toFixed(2)),
    goal,
    dropless: Math.round(median(own)),
    webhook: Math.round(median(reference)),
    unit: "a second",
    all: { dropless: own.map(Math.round), webhook: reference.map(Math.round) },
  });
  const at = (values, share) => Number(quantile(values, share).toFixed(1));
  return {
    settings,
    rows: [
      row("signed deliveries answered", accepted.dropless, accepted.webhook, "at least 2"),
      row("wrong signatures refused", refused.dropless, refused.webhook, "at least 2"),
    ],
    steady: Object.entries(steady).map(([mode, values]) => ({
      what: `202 at ${settings.rate} a second, ${mode === "busy" ? "a build on every core" : "the build asleep"}`,
      p50: at(values, 0.5),
      p99: at(values, 0.99),
      longest: at(values, 1),
      goal: mode === "busy" ? "p99 under 10" : "",
      unit: "ms",
    })),
  };
}

export const webhookMarkdown = ({ rows, steady, settings }) =>
  [
    `| ${settings.bytes} bytes, ${settings.connections} connections, ${settings.runs} runs of ${settings.count} | ratio | goal | dropless | webhook |`,
    "|---|---|---|---|---|",
    ...rows.map(
      (one) =>
        `| ${one.what} | **${one.ratio}×** | ${one.goal}× | ${one.dropless} ${one.unit} | ${one.webhook} ${one.unit} |`,
    ),
    "",
    "| answer | p50 | p99 | longest | goal |",
    "|---|---|---|---|---|",
    ...steady.map(
      (one) => `| ${one.what} | ${one.p50} ms | ${one.p99} ms | ${one.longest} ms | ${one.goal} |`,
    ),
  ].join("\n");

if (import.meta.filename === process.argv[1]) {
  const names = ["runs", "count", "connections", "bytes", "rate", "seconds"];
  const { values } = parseArgs({
    options: {
      json: { type: "string" },
      ...Object.fromEntries(names.map((name) => [name, { type: "string" }])),
    },
  });
  const given = names
    .filter((name) => values[name] !== undefined)
    .map((name) => [name, Number(values[name])]);
  const result = await measureWebhook(Object.fromEntries(given));
  if (values.json) writeFileSync(values.json, `${JSON.stringify(result, null, 2)}\n`);
  console.log(webhookMarkdown(result));
}
