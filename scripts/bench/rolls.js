/**
 * Promise 1 in figures: what a mixed load sees while apps are deployed by dropless, and while the same apps are
 * reloaded by `pm2 reload`.
 *
 *   npm run build && node scripts/bench/rolls.js [--kinds http,fastify] [--ways direct,nginx] [--deploys 10]
 *     [--reloads 5] [--clients 48] [--json FILE]
 *
 * Needs nginx for that way. Prints a Markdown table; exits with 1 when a deploy lost a request or did not succeed,
 * and with 2 when the load fails without any deploy, since nothing was measured then.
 */
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { appFiles, goodKinds, linkModules, writeApp } from "./lib/apps.js";
import { createHost, freePort } from "./lib/host.js";
import { endOnInterrupt } from "./lib/interrupt.js";
import { startLoad } from "./lib/load.js";
import { startNginx } from "./lib/nginx.js";
import { createPrivatePm2 } from "./lib/pm2.js";

const { values } = parseArgs({
  options: {
    kinds: { type: "string", default: goodKinds.join() },
    ways: { type: "string", default: "direct,nginx" },
    deploys: { type: "string", default: "10" },
    reloads: { type: "string", default: "5" },
    clients: { type: "string", default: "48" },
    json: { type: "string" },
  },
});
const kinds = values.kinds.split(",");
const ways = values.ways.split(",");
const deploys = Number(values.deploys);
const reloads = Number(values.reloads);
const clients = Number(values.clients);

/** Between two deploys, so that each begins on a load that runs evenly. Milliseconds. */
const restMs = 1000;
const limitMs = 180_000;

const say = (text) => process.stderr.write(`${text}\n`);
const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
const seconds = (ms) => (ms / 1000).toFixed(1);

/** Runs `work` under load, through nginx or not. */
async function underLoad(way, port, bound, work) {
  const nginx = way === "nginx" ? await startNginx(port) : undefined;
  let load;
  try {
    load = await startLoad({ port: nginx?.port ?? port, clients, maxSeconds: bound });
    await sleep(restMs);
    const found = await work();
    await sleep(restMs);
    const { total, failed, failures, maxGapMs } = await load.stop();
    return { ...found, total, failed, maxGapMs, failures: failures.slice(0, 20) };
  } finally {
    await load?.abort();
    await nginx?.stop();
  }
}

async function timed(times, work) {
  const durations = [];
  for (let i = 0; i < times; i++) {
    const began = performance.now();
    await work(i);
    durations.push(performance.now() - began);
    await sleep(restMs);
  }
  return { times, medianMs: Math.round(median(durations)) };
}

/** The same app and load, and no deploy: what fails here says nothing about deploys. */
const control = (way, port) =>
  underLoad(way, port, 60, () => sleep(8000).then(() => ({ times: 0, medianMs: 0 })));

async function measureDropless(rows) {
  const host = await createHost();
  try {
    const apps = new Map();
    for (const kind of kinds)
      apps.set(
        kind,
        // Of the waits that a deploy makes on purpose, less than the defaults.
        await host.addApp(kind, { health: { path: "/", soak: "1s", watch: "2s" } }),
      );
    await host.start();
    let count = 0;
    for (const [kind, { repo, port }] of apps) {
      const deploy = async () => {
        const release = `r${++count}`;
        const ended = await host.deploy(
          repo.fullName,
          repo.commit(appFiles({ kind, release, port }), release),
          limitMs,
        );
        if (ended.status !== "succeeded")
          throw new Error(`${kind}: ${ended.status}: ${ended.error?.message}\n${ended.logTail?.join("\n")}`);
        return ended;
      };
      await deploy();
      for (const way of ways) {
        const calm = await control(way, port);
        const receipts = { probes: 0, failed: 0 };
        const row = await underLoad(way, port, (deploys * limitMs) / 1000, () =>
          timed(deploys, async () => {
            const { receipt } = await deploy();
            receipts.probes += receipt?.probes ?? 0;
            receipts.failed += receipt?.failed ?? 0;
          }),
        );
        rows.push({
          by: "dropless",
          kind,
          way,
          control: { total: calm.total, failed: calm.failed },
          receipts,
          ...row,
        });
        say(`dropless ${kind} ${way}: ${row.failed} of ${row.total} failed, ${deploys} deploys`);
      }
    }
    const killed = host.killed().length;
    say(`instances PM2 had to kill: ${killed}`);
    return killed;
  } finally {
    await host.end();
  }
}

async function measureReload(rows) {
  const pm2 = createPrivatePm2();
  const forget = endOnInterrupt(() => pm2.end());
  try {
    linkModules(pm2.dir);
    for (const kind of kinds) {
      const port = await freePort();
      const script = writeApp(join(pm2.dir, kind), { kind, release: "r1", port });
      // 8 s: more than the app's own forced exit, as its authors are advised.
      await pm2.cli("start", script, "--name", kind, "-i", "2", "--kill-timeout", "8000");
      await sleep(3000);
      for (const way of ways) {
        const row = await underLoad(way, port, reloads * 120, () =>
          timed(reloads, () => pm2.cli("reload", kind)),
        );
        rows.push({ by: "pm2 reload", kind, way, ...row });
        say(`pm2 reload ${kind} ${way}: ${row.failed} of ${row.total} failed, ${reloads} reloads`);
      }
      await pm2.cli("delete", kind);
    }
  } finally {
    forget();
    await pm2.end();
  }
}

function table(rows) {
  const head = [
    "| app | way | dropless: failed / requests (deploys) | deploy | longest gap | `pm2 reload`: failed / requests (reloads) | reload |",
    "|---|---|---|---|---|---|---|",
  ];
  const counts = (row) => (row ? `${row.failed} / ${row.total.toLocaleString("en")} (${row.times})` : "–");
  const lines = kinds.flatMap((kind) =>
    ways.map((way) => {
      const [ours, theirs] = ["dropless", "pm2 reload"].map((by) =>
        rows.find((row) => row.by === by && row.kind === kind && row.way === way),
      );
      const ourTime = ours ? `${seconds(ours.medianMs)} s | ${ours.maxGapMs} ms` : "– | –";
      return `| ${kind} | ${way} | ${counts(ours)} | ${ourTime} | ${counts(theirs)} | ${theirs ? `${seconds(theirs.medianMs)} s` : "–"} |`;
    }),
  );
  return [...head, ...lines].join("\n");
}

const rows = [];
let killed = 0;
if (deploys > 0) killed = await measureDropless(rows);
if (reloads > 0) await measureReload(rows);
const facts = {
  node: process.version,
  cores: cpus().length,
  clients,
  killed,
  date: new Date().toISOString(),
};
if (values.json) writeFileSync(values.json, `${JSON.stringify({ ...facts, rows }, null, 2)}\n`);
console.log(`${table(rows)}\n`);
console.log(
  `Node ${facts.node}, ${facts.cores} cores, 2 instances, ${clients} clients; median times. Instances killed: ${killed}.`,
);
const ours = rows.filter(({ by }) => by === "dropless");
const calm = ours.reduce(
  (sum, { control }) => ({ total: sum.total + control.total, failed: sum.failed + control.failed }),
  { total: 0, failed: 0 },
);
if (ours.length > 0)
  console.log(
    `Control, the same load without a deploy: ${calm.failed} / ${calm.total.toLocaleString("en")} failed.`,
  );
process.exitCode = calm.failed > 0 ? 2 : ours.some(({ failed }) => failed > 0) || killed > 0 ? 1 : 0;
