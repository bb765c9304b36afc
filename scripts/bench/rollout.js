/**
 * How long a rollout takes beside `pm2 reload` with its defaults: the same app, the same machine, in turns.
 *
 * The app is plain http without a signal handler (PM2 ends it at once, which is as fast as `pm2 reload` gets), and
 * waits before it listens, as for a database. Eight instances on both sides: needs about 1.5 GB of memory.
 *
 * dropless: a signed push to the real daemon, whose step `rollout` is read: from the call that starts the rollout to
 * the moment when the last new instance is proven (3 good answers of its own in a row) and the last old one has ended,
 * which is later than that it no longer accepts. What preflight takes before that is a row of its own (its soak is 0).
 * `pm2 reload`: from the start of the command to the moment when it has returned and every new instance has answered.
 */
import { writeFileSync } from "node:fs";
import http from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createHost, freePort } from "./lib/host.js";
import { endOnInterrupt } from "./lib/interrupt.js";
import { createPrivatePm2 } from "./lib/pm2.js";

/** Milliseconds until the app listens, and how much of what `pm2 reload` takes a rollout may take at most. */
const boots = [
  { boot: 3000, most: 0.5 },
  { boot: 300, most: 1 },
];
const restMs = 1500;
const limitMs = 120_000;

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
      return { rolloutMs: took("rollout"), preflightMs: took("preflight") };
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
      return { reloadMs: Math.round(performance.now() - began), commandMs };
    },
    async end() {
      forget();
      await pm2.end();
    },
  };
}

/** Both sides with the same app, in turns; the first start of each is not counted. */
async function measure({ boot, instances, surge, runs, log }) {
  const ends = [];
  try {
    const ours = await createDropless({ boot, instances, surge });
    ends.push(ours.end);
    const theirs = await createReload({ boot, instances });
    ends.push(theirs.end);
    await ours.roll("r0");
    await theirs.roll("r0");
    const seen = { rollouts: [], preflights: [], reloads: [], commands: [] };
    for (let run = 1; run <= runs; run++) {
      await sleep(restMs);
      const { rolloutMs, preflightMs } = await ours.roll(`r${run}`);
      await sleep(restMs);
      const { reloadMs, commandMs } = await theirs.roll(`r${run}`);
      log(
        `boot ${boot} ms, run ${run}: rollout ${rolloutMs} ms (preflight ${preflightMs}), reload ${reloadMs} ms (command ${commandMs})`,
      );
      seen.rollouts.push(rolloutMs / 1000);
      seen.preflights.push(preflightMs / 1000);
      seen.reloads.push(reloadMs / 1000);
      seen.commands.push(commandMs / 1000);
    }
    return seen;
  } finally {
    for (const end of ends) await end();
  }
}

export const bench = {
  name: "rollout",
  about: "replacing 8 instances, each gated, beside `pm2 reload` with its defaults; surge 100%",
  async run({ runs, tiny, log }) {
    const instances = tiny ? 2 : 8;
    const rows = [];
    const facts = { instances, surge: "100%" };
    for (const { boot, most } of tiny ? boots.slice(1) : boots) {
      const seen = await measure({ boot, instances, surge: "100%", runs, log });
      const of = `${instances} instances, an app that boots ${boot / 1000} s`;
      rows.push(
        {
          what: `rollout of ${of}`,
          unit: "s",
          ours: seen.rollouts,
          theirs: seen.reloads,
          against: "`pm2 reload`",
          goal: { of: "ratio", most },
          note: "the step `rollout`, gates included, until the last old one has ended",
        },
        {
          what: `preflight and rollout of ${of}`,
          unit: "s",
          ours: seen.rollouts.map((figure, run) => figure + seen.preflights[run]),
          theirs: seen.reloads,
          against: "`pm2 reload`",
          note: "soak 0",
        },
      );
      facts[`boot ${boot}`] = seen;
    }
    return { rows, facts };
  },
};
