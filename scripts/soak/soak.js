#!/usr/bin/env node
/**
 * A while of everything at random, for two apps under load: pushes, bursts out of order, broken commits, redeliveries,
 * cancels, rollbacks, holds, deploys by hand, `kill -9` and polite restarts of the daemon. Then an oracle looks at what
 * is there. Wanted: every id that was ever given out answers and has ended, with a status that its commit allows; the
 * newest push of each app is live, unless a person or a broken commit came after it; exactly the configured instances
 * of one release run; nothing is left over; no request ever failed, but for those that a release which is bad only
 * beside the old one or when it is live answered itself: they are counted apart.
 *
 *   npm run soak -- [--minutes 2] [--seed 1]
 *
 * Exits with 1 when something was not as wanted.
 */
import { parseArgs } from "node:util";
import { appFiles, badAnswers } from "../bench/lib/apps.js";
import { startLoad } from "../bench/lib/load.js";
import { createHost } from "./lib/host.js";
import { chance, inspect } from "./lib/oracle.js";

const { values } = parseArgs({
  options: { minutes: { type: "string", default: "2" }, seed: { type: "string", default: "1" } },
});
const minutes = Math.min(Number(values.minutes), 24 * 60);
const { next, below, pick, shuffled } = chance(Number(values.seed));
const names = ["api", "web"];
const wanted = Object.fromEntries(names.map((name) => [name, 2]));
const badKinds = [
  "crash-at-boot",
  "syntax-error",
  "answers-500",
  "script-missing",
  "broken-beside-old",
  "bad-when-live",
];
const endings = ["succeeded", "failed", "rolled_back", "superseded", "canceled", "skipped"];

const host = await createHost(names, ({ name }) => ({
  pm2: { script: "server.js", name, instances: 2 },
  build: "sleep 0.3",
  health: { path: "/", successes: 1, soak: "200ms", watch: "1500ms", ready: "20s" },
}));
for (const signal of ["SIGINT", "SIGTERM"])
  process.once(signal, () => void host.end().finally(() => process.exit(1)));

const faults = [];
const actions = {};
/** Acknowledged deploys: what was asked for. */
const given = new Map();
/** Commits: is it good, the how manieth. */
const commits = new Map();
/** For each app the newest commit, and whether nothing that came after its push can keep it from being live. */
const newest = {};
const deliveries = [];
const history = [];
const loads = {};

const commit = (name, kind = "http-close") => {
  const n = host.repos[name].commits + 1;
  const files = appFiles({ kind, release: `${name}-${n}`, port: host.repos[name].port });
  // A commit is exactly its files.
  if (kind === "script-missing") files["server.js"] = null;
  const sha = host.commit(name, files);
  commits.set(sha, { name, n, good: kind === "http-close" });
  newest[name] = { sha, n, good: kind === "http-close", sure: false };
  return sha;
};

async function send(name, sha, delivery = host.push(name, sha)) {
  deliveries.push({ name, sha, delivery });
  const answer = await fetch(`http://127.0.0.1:${host.port}/webhooks/deploy`, {
    method: "POST",
    ...delivery,
  });
  const body = await answer.json();
  if (answer.status === 202) {
    given.set(body.id, { name, sha });
    if (newest[name].sha === sha) newest[name].sure = true;
  } else if (!(answer.status === 409 || (answer.status === 200 && body.duplicate)))
    faults.push(`a push was answered ${answer.status}: ${JSON.stringify(body)}`);
  return body;
}
const unsure = (name) => {
  if (newest[name]) newest[name].sure = false;
};

const moves = {
  push: { weight: 30, run: (name) => send(name, commit(name)) },
  broken: { weight: 10, run: (name) => send(name, commit(name, pick(badKinds))) },
  burst: {
    weight: 8,
    async run(name) {
      const shas = Array.from({ length: 2 + below(5) }, () => commit(name));
      await Promise.all(shuffled([...shas, pick(shas)]).map((sha) => send(name, sha)));
    },
  },
  redeliver: {
    weight: 8,
    async run() {
      const { name, sha, delivery } = pick(deliveries);
      await send(name, sha, delivery);
    },
  },
  cancel: {
    weight: 8,
    async run(name) {
      const { body } = await host.get(`/deploys?app=${name}&limit=5`);
      const open = body.deploys.find(({ status }) => ["queued", "running"].includes(status));
      if (!open) return;
      unsure(name);
      await host.call("POST", `/deploys/${open.id}/cancel`);
    },
  },
  rollback: {
    weight: 8,
    async run(name) {
      unsure(name);
      const { status, body } = await host.call("POST", `/apps/${name}/rollback`);
      if (status === 202) given.set(body.id, { name, rollback: true });
    },
  },
  byHand: {
    weight: 5,
    async run(name) {
      const { status, body } = await host.call("POST", "/deploys", { app: name });
      if (status === 202) given.set(body.id, { name });
    },
  },
  hold: { weight: 4, run: (name) => host.call("PUT", `/apps/${name}/hold`, { reason: "soak" }) },
  resume: { weight: 8, run: (name) => host.call("DELETE", `/apps/${name}/hold`) },
  kill: {
    weight: 8,
    async run() {
      await host.stop("SIGKILL");
      await host.start();
    },
  },
  restart: {
    weight: 5,
    async run() {
      await host.stop("SIGTERM");
      await host.start();
    },
  },
};
const draw = Object.entries(moves).flatMap(([move, { weight }]) => Array(weight).fill(move));
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function settled() {
  for (const until = Date.now() + 600_000; ; await pause(200)) {
    let open = 0;
    for (const status of ["queued", "running"])
      open += (await host.get(`/deploys?status=${status}&limit=1`)).body.deploys.length;
    if (open === 0) return;
    if (Date.now() > until) throw new Error("the queue does not come to an end");
  }
}

async function everyDeploy() {
  const all = [];
  for (let before = ""; ; ) {
    const { body } = await host.get(`/deploys?limit=100${before && `&before=${before}`}`);
    all.push(...body.deploys);
    if (!body.next) return all;
    before = body.next;
  }
}

async function judge() {
  const counts = {};
  const all = await everyDeploy();
  const ids = new Set(all.map(({ id }) => id));
  for (const id of given.keys()) if (!ids.has(id)) faults.push(`the acknowledged deploy ${id} is lost`);
  for (const deploy of all) {
    const { id, status, error, trigger } = deploy;
    counts[status] = (counts[status] ?? 0) + 1;
    const known = commits.get(deploy.commit?.sha);
    const what = `${id} (${trigger} of ${deploy.app} ${known ? `${known.n} ${known.good ? "good" : "bad"}` : "?"})`;
    if (!endings.includes(status)) faults.push(`${what} is ${status}: ${JSON.stringify(error)}`);
    if (status === "succeeded" && known?.good === false) faults.push(`${what} succeeded`);
    if (["failed", "rolled_back"].includes(status) && trigger !== "rollback" && known?.good !== false)
      faults.push(`${what} ${status}: ${JSON.stringify(error)}`);
    if (deploy.receipt?.failed > 0 && known?.good !== false)
      faults.push(`${what}: ${deploy.receipt.failed} probes failed`);
  }
  for (const name of names) {
    const { body } = await host.get(`/apps/${name}`);
    const last = newest[name];
    const live = body.live?.commit;
    const known = commits.get(live);
    if (!known?.good) faults.push(`${name}: ${live} is live, ${JSON.stringify(known)}`);
    if (last.good && last.sure && live !== last.sha)
      faults.push(`${name}: ${last.n} was pushed last, ${known?.n} is live`);
  }
  faults.push(...(await inspect(host, wanted)).faults);
  return counts;
}

try {
  await host.start();
  for (const name of names)
    for (let n = 0; n < 2; n++) {
      await send(name, commit(name));
      await settled();
    }
  for (const name of names)
    loads[name] = await startLoad({
      port: host.repos[name].port,
      clients: 6,
      pauseMs: 30,
      handlers: [0, 50, 0, 300],
      badAnswers,
      maxSeconds: minutes * 60 + 1200,
      maxRequests: 1e9,
    });
  const began = Date.now();
  while (Date.now() - began < minutes * 60_000) {
    const move = pick(draw);
    const name = pick(names);
    actions[move] = (actions[move] ?? 0) + 1;
    history.push(`${((Date.now() - began) / 1000).toFixed(1)} ${move} ${name}`);
    await moves[move].run(name);
    await pause(next() < 0.5 ? below(300) : below(4000));
  }
  for (const name of names) await host.call("DELETE", `/apps/${name}/hold`);
  await settled();
  const counts = await judge();
  // Whatever was before: the next good push goes live.
  for (const name of names) await send(name, commit(name));
  await settled();
  await judge();
  const rss = host.rssMb();
  let total = 0;
  let failed = 0;
  let bad = 0;
  for (const [name, load] of Object.entries(loads)) {
    const result = await load.stop();
    total += result.total;
    failed += result.failed;
    bad += result.bad;
    if (result.failed > 0)
      faults.push(
        `${name}: ${result.failed} requests failed: ${JSON.stringify(result.failures.slice(0, 5))}`,
      );
  }
  console.log(
    `seed ${values.seed}, ${minutes} minutes: ${JSON.stringify(actions)}\n` +
      `  deploys: ${JSON.stringify(counts)}\n` +
      `  requests: ${total}, ${failed} failed, ${bad} answered by bad releases; memory of the daemon: ${rss} MB`,
  );
} catch (error) {
  faults.push(`${error.stack}\n${host.said()}`);
} finally {
  await Promise.all(Object.values(loads).map((load) => load.abort().catch(() => {})));
  await host.end();
}
if (faults.length > 0) console.error(history.join("\n"));
for (const fault of faults.slice(0, 30)) console.error(`✗ ${fault}`);
console.log(faults.length === 0 ? "as wanted" : `${faults.length} faults`);
process.exit(faults.length === 0 ? 0 : 1);
