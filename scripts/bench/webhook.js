/**
 * Deliveries beside adnanh/webhook (Debian's package `webhook`), in turn, with the same load: unique signed deliveries that
 * dropless has stored a second, beside those for which the other has started `/bin/true`; those that either has answered,
 * which the other does before it starts anything; wrongly signed ones refused a second. Then dropless' answer times at a
 * steady rate, with a build asleep and with one that keeps every core busy. `npm run bench -- webhook` (scripts/bench/run.js).
 */
import { fork, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
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

/**
 * Sends deliveries from a process of its own. At a steady rate it goes before everything else on the machine, where that
 * is allowed: real senders are other machines, and what they wait for themselves is no part of an answer.
 */
export async function send(options) {
  const child = fork(join(import.meta.dirname, "lib/deliveries-child.js"), { serialization: "advanced" });
  try {
    if (options.rate !== undefined)
      spawnSync("chrt", ["--rr", "--all-tasks", "--pid", "1", String(child.pid)], { stdio: "ignore" });
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
  return {
    port,
    path: "/hooks/deploy",
    pid: () => child.pid,
    async end() {
      child.kill("SIGKILL");
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/**
 * Until a process and the commands it has started have used no time for two seconds: what it has put off is not to be done
 * beside what is measured next. Returns when it was last at work, in milliseconds of the clock of `performance`.
 */
async function atRest(pid) {
  const used = () => {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1).split(" ");
    return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0);
  };
  let before = used();
  let last = performance.now();
  while (performance.now() - last < 2_000) {
    await sleep(50);
    const now = used();
    // One tick of a hundredth of a second may be a timer's.
    if (now - before <= 1) continue;
    before = now;
    last = performance.now();
  }
  return last;
}

/** How many processes and threads have been made on this machine. */
const made = () => Number(/^processes (\d+)$/m.exec(readFileSync("/proc/stat", "utf8"))[1]);

const quantile = (values, share) => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
};
const wanted = (statuses, ...codes) => {
  const others = Object.keys(statuses).filter((status) => !codes.includes(Number(status)));
  if (others.length > 0)
    throw new Error(`answered ${JSON.stringify(statuses)} instead of ${codes.join(" or ")}`);
};

const connections = 16;
const bytes = 8192;
const rate = 200;

async function run({ runs, tiny, log }) {
  // More than dropless puts off the indexing of (src/adapters/sqlite/deliveries.ts): that is to be part of what is measured.
  const count = tiny ? 100 : 10_000;
  // It holds some five files open for each that it has answered and not started yet; when none are left it starts no more.
  const theirCount = tiny ? 100 : 3_000;
  const seconds = tiny ? 1 : 5;
  const host = await createHost(["api"], ({ dir }) => ({ build: `node hold.js ${dir}` }));
  let other;
  try {
    await host.start({ quiet: true });
    other = await startOther(host.secret);
    const ours = { port: host.port, path: "/webhooks/deploy" };
    const theirs = { port: other.port, path: other.path, count: theirCount };
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
    const accepted = { ours: [], theirs: [] };
    const started = [];
    const refused = { ours: [], theirs: [] };
    const measure = async (list, options, ...codes) => {
      const result = await send({ ...load, ...options });
      wanted(result.statuses, ...codes);
      list.push(Math.round((options.count ?? count) / result.seconds));
      return result;
    };
    // The first of each is not counted: both have to get warm.
    for (let n = 0; n <= runs; n++) {
      await measure(accepted.ours, ours, 202);
      await atRest(host.pid());
      const before = made();
      const { seconds } = await measure(accepted.theirs, theirs, 200);
      const answered = performance.now();
      const left = ((await atRest(other.pid())) - answered) / 1000;
      // Threads count, too, and what others on this machine start: that is in its favour.
      const starts = Math.min(made() - before, theirCount);
      started.push(Math.round(starts / (seconds + left)));
      await measure(refused.ours, { ...ours, wrong: true }, 401, 429);
      // A signature that does not fit is an error to it, not a rule that is not met.
      await measure(refused.theirs, { ...theirs, wrong: true }, 401, 500);
      log(
        `run ${n} of ${runs}: ${accepted.ours.at(-1)} and ${accepted.theirs.at(-1)} a second accepted, of theirs ${starts} of ${theirCount} started, ${started.at(-1)} a second`,
      );
    }
    for (const list of [accepted.ours, accepted.theirs, started, refused.ours, refused.theirs]) list.shift();
    const steady = {};
    for (const mode of ["idle", "busy"]) {
      if (mode === "busy") {
        await letGo();
        await hold("busy");
      }
      steady[mode] = { p50: [], p99: [] };
      for (let n = 0; n < runs; n++) {
        const { statuses, latencies } = await send({ ...load, ...ours, count: rate * seconds, rate });
        wanted(statuses, 202);
        for (const [key, share] of [
          ["p50", 0.5],
          ["p99", 0.99],
        ])
          steady[mode][key].push(Number(quantile(latencies, share).toFixed(2)));
      }
      log(`${mode}: p99 ${steady[mode].p99.join(", ")} ms`);
    }
    const note = `${bytes} bytes, ${connections} connections`;
    const steadily = `${note}, ${seconds} s`;
    const beside = { unit: "/s", against: "adnanh/webhook", goal: { of: "ratio", least: 2 } };
    const times = { unit: "ms" };
    return {
      rows: [
        {
          what: "signed deliveries stored, beside /bin/true started",
          ...beside,
          ours: accepted.ours,
          theirs: started,
          note: `${note}; the other answers first and starts most of them later`,
        },
        { what: "signed deliveries answered by either", ...beside, ...accepted, note },
        { what: "wrong signatures refused", ...beside, ...refused, note },
        {
          what: `202 at ${rate} a second, build asleep, p50`,
          ...times,
          ours: steady.idle.p50,
          note: steadily,
        },
        {
          what: `202 at ${rate} a second, build asleep, p99`,
          ...times,
          ours: steady.idle.p99,
          note: steadily,
        },
        {
          what: `202 at ${rate} a second, build on every core, p50`,
          ...times,
          ours: steady.busy.p50,
          note: steadily,
        },
        {
          what: `202 at ${rate} a second, build on every core, p99`,
          ...times,
          ours: steady.busy.p99,
          note: steadily,
          goal: { of: "ours", most: 10 },
        },
      ],
    };
  } finally {
    await other?.end();
    await host.end();
  }
}

export const bench = {
  name: "webhook",
  about: "deliveries beside adnanh/webhook, and how long one is waited for",
  run,
};
