/**
 * How long a rollout takes beside `pm2 reload` with its defaults: the same app, the same machine, in turns.
 *
 *   npm run build && node scripts/bench/rollout.js [--boots 3000,300] [--instances 8] [--surge 100%] [--runs 5]
 *     [--json FILE]
 *
 * The app is plain http without a signal handler (PM2 ends it at once, which is as fast as `pm2 reload` gets), and
 * waits before it listens (`--boots`, milliseconds), as for a database. Needs about 1.5 GB of memory.
 *
 * dropless: a signed push to the real daemon, whose step `rollout` is read: from the call that starts the rollout to
 * the moment when the last new instance is proven (3 good answers of its own in a row) and the last old one has ended.
 * What preflight takes beside, its soak left out, is named in a column of its own. `pm2 reload`: from the start of
 * the command to the moment when it has returned and every new instance has answered.
 *
 * Prints a Markdown table, ratios first; exits with 1 when a goal is missed.
 */
import { writeFileSync } from "node:fs";
import http from "node:http";
import { cpus } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createHost, freePort } from "./lib/host.js";
import { endOnInterrupt } from "./lib/interrupt.js";
import { createPrivatePm2 } from "./lib/pm2.js";

/** At most this many times what `pm2 reload` takes, by the milliseconds the app boots. */
const goals = { 3000: 0.5, 300: 1 };
const restMs = 1500;
const limitMs = 120_000;

const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;

const server = ({ release, port, boot }) => `
const http = require("node:http");
const port = Number(process.env.PORT) || ${port};
const server = http.createServer((req, res) => res.end("${release} " + process.pid + "\\n"));
setTimeout(() => server.listen(port), ${boot});
`;
const filesOf = (app) => ({
  "package.json": `${JSON.stringify({ name: "app", version: "1.0.0", private: true })}\n`,
  "server.js": server(app),
});

const ask = (port) =>
  new Promise((resolve) => {
    const sent = http.get({ host: "127.0.0.1", port, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk) => {
        text += chunk;
      });
      response.on("end", () => resolve(text.trim()));
    });
    sent.on("error", () => resolve(""));
    sent.setTimeout(5000, () => sent.destroy());
  });

/** Until so many processes of that release have answered, and the last so many answers were of no other. */
async function allAnswer({ port, release, instances }) {
  const pids = new Set();
  let others = 0;
  for (const until = Date.now() + limitMs; pids.size < instances || others < instances; ) {
    if (Date.now() > until) throw new Error(`only ${pids.size} of ${instances} answered`);
    const [by, pid] = (await ask(port)).split(" ");
    others = by === release ? others + 1 : 0;
    if (by === release) pids.add(pid);
    else await sleep(5);
  }
}

async function createDropless({ boot, instances, surge }) {
  const host = await createHost();
  const { repo, port } = await host.addApp("api", {
    pm2: { script: "server.js", instances },
    health: { soak: "0ms", watch: "0ms" },
    rollout: { surge },
  });
  await host.start();
  return {
    async roll(release) {
      const commit = repo.commit(filesOf({ release, port, boot }), release);
      const ended = await host.deploy(repo.fullName, commit, limitMs);
      if (ended.status !== "succeeded")
        throw new Error(`${ended.status}: ${ended.error?.message}\n${ended.logTail?.join("\n")}`);
      await allAnswer({ port, release, instances });
      const took = (name) => ended.steps.find((step) => step.name === name)?.durationMs ?? 0;
      return { ms: took("rollout"), preflightMs: took("preflight"), log: ended.logTail };
    },
    end: host.end,
  };
}

async function createReload({ boot, instances }) {
  const pm2 = createPrivatePm2();
  const forget = endOnInterrupt(() => pm2.end());
  const port = await freePort();
  const write = (release) => writeFileSync(join(pm2.dir, "server.js"), server({ release, port, boot }));
  let isStarted = false;
  return {
    async roll(release) {
      write(release);
      const began = performance.now();
      if (isStarted) await pm2.cli("reload", "api");
      else await pm2.cli("start", join(pm2.dir, "server.js"), "--name", "api", "-i", String(instances));
      isStarted = true;
      const commandMs = Math.round(performance.now() - began);
      await allAnswer({ port, release, instances });
      return { ms: Math.round(performance.now() - began), commandMs };
    },
    async end() {
      forget();
      await pm2.end();
    },
  };
}

/** One row for each time of booting. `runs` of both, in turns; the first start of each is not counted. */
export async function measureRollout({ boots, instances, surge, runs, say }) {
  const rows = [];
  for (const boot of boots) {
    const ends = [];
    try {
      const ours = await createDropless({ boot, instances, surge });
      ends.push(ours.end);
      const theirs = await createReload({ boot, instances });
      ends.push(theirs.end);
      await ours.roll("r0");
      await theirs.roll("r0");
      const seen = { ours: [], preflight: [], theirs: [], command: [] };
      for (let run = 1; run <= runs; run++) {
        await sleep(restMs);
        const { ms, preflightMs, log } = await ours.roll(`r${run}`);
        await sleep(restMs);
        const reload = await theirs.roll(`r${run}`);
        seen.ours.push(ms);
        seen.preflight.push(preflightMs);
        seen.theirs.push(reload.ms);
        seen.command.push(reload.commandMs);
        say(
          `boot ${boot} ms, run ${run}: rollout ${ms} ms (preflight ${preflightMs}), reload ${reload.ms} ms`,
        );
        if (process.env.BENCH_LOG) say(log.join("\n"));
      }
      const ratio = median(seen.ours) / median(seen.theirs);
      rows.push({
        name: `rollout of ${instances} instances, boot ${boot / 1000} s`,
        boot,
        instances,
        surge,
        goal: goals[boot],
        ratio: Number(ratio.toFixed(3)),
        oursMs: median(seen.ours),
        preflightMs: median(seen.preflight),
        theirsMs: median(seen.theirs),
        commandMs: median(seen.command),
        runs: seen,
      });
    } finally {
      for (const end of ends) await end();
    }
  }
  return rows;
}

export function rolloutTable(rows) {
  const seconds = (ms) => `${(ms / 1000).toFixed(2)} s`;
  const lines = rows.map(
    ({ name, ratio, goal, oursMs, preflightMs, theirsMs }) =>
      `| ${name} | **${ratio.toFixed(2)}×** | ${goal === undefined ? "–" : `${goal}×`} | ${seconds(oursMs)} | ${seconds(theirsMs)} | ${seconds(preflightMs)} |`,
  );
  return [
    "| what | ratio | goal | rollout | `pm2 reload` | preflight before, beside |",
    "|---|---|---|---|---|---|",
    ...lines,
  ].join("\n");
}

async function main() {
  const { values } = parseArgs({
    options: {
      boots: { type: "string", default: "3000,300" },
      instances: { type: "string", default: "8" },
      surge: { type: "string", default: "100%" },
      runs: { type: "string", default: "5" },
      json: { type: "string" },
    },
  });
  const rows = await measureRollout({
    boots: values.boots.split(",").map(Number),
    instances: Number(values.instances),
    surge: /^\d+$/.test(values.surge) ? Number(values.surge) : values.surge,
    runs: Number(values.runs),
    say: (text) => process.stderr.write(`${text}\n`),
  });
  const facts = { node: process.version, cores: cpus().length, date: new Date().toISOString() };
  if (values.json) writeFileSync(values.json, `${JSON.stringify({ ...facts, rows }, null, 2)}\n`);
  console.log(rolloutTable(rows));
  console.log(`\nNode ${facts.node}, ${facts.cores} cores; medians of ${values.runs} runs each, in turns.`);
  process.exitCode = rows.some(({ ratio, goal }) => ratio > (goal ?? Number.POSITIVE_INFINITY)) ? 1 : 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
