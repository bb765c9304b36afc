#!/usr/bin/env node
/**
 * `kill -9` of the daemon at every step of a deploy, before and after each durable write, each command and each call to
 * PM2, while two apps are under load. First each kind of deploy (a good push, a broken one, one that is canceled when it
 * is already live, a rollback, and two whose release is bad only beside the old one or when it is live, so that they are
 * taken back, and the kills come on that way) runs unharmed, and the seams it passes are written down; then the kills are spread over
 * all of these seams, and some of them hit the daemon again while it recovers.
 * After each kill the daemon is started again and nothing else is done. Wanted: the deploy ends, exactly the configured
 * instances of exactly one release run, nothing is left over, and no request ever fails; what such a bad release itself
 * answered with 500 is counted apart.
 *
 *   node scripts/soak/kills.js [--kills 100] [--seed 1] [--kinds push,broken,cancel,rollback,beside,live] [--json FILE]
 *
 * Exits with 1 when something was not as wanted.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { appFiles, badAnswers } from "../bench/lib/apps.js";
import { startLoad } from "../bench/lib/load.js";
import { createHost, spread } from "./lib/host.js";
import { chance, inspect } from "./lib/oracle.js";

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "100" },
    seed: { type: "string", default: "1" },
    kinds: { type: "string", default: "push,broken,cancel,rollback,beside,live" },
    json: { type: "string" },
  },
});
const wantedKills = Math.min(Number(values.kills), 2000);
const { next, below, pick, shuffled } = chance(Number(values.seed));
const names = ["api", "web"];
const wanted = Object.fromEntries(names.map((name) => [name, 2]));

const host = await createHost(names, ({ name, dir }) => ({
  pm2: { script: "server.js", name, instances: 2 },
  install: `echo install >> ${dir}/ran`,
  build: `echo build >> ${dir}/ran; sleep 0.2`,
  migrate: `echo migrate >> ${dir}/ran`,
  health: { path: "/", successes: 1, soak: "200ms", watch: "1500ms", ready: "20s" },
}));
for (const signal of ["SIGINT", "SIGTERM"])
  process.once(signal, () => void host.end().finally(() => process.exit(1)));
const traceFile = join(host.dir, "trace");
const env = { SOAK_TRACE: traceFile };
const faults = [];
const loads = {};
const done = [];
const tookMs = [];
let killed = 0;
let again = 0;
let failedBefore = 0;

const builds = () => readFileSync(join(host.dir, "ran"), "utf8").split("build").length;
const ids = async () => (await host.get("/deploys?limit=100")).body.deploys.map(({ id }) => id);
const good = (name) =>
  host.commit(
    name,
    appFiles({ kind: "http-close", release: `${name}-${Date.now()}`, port: host.repos[name].port }),
  );

const bad = (name, kind) =>
  host.commit(name, appFiles({ kind, release: `${name}-bad`, port: host.repos[name].port }));

/** Resolves when that step runs, or the daemon has gone. */
async function reached(id, step) {
  const passed = ({ steps }) => steps?.find((one) => one.name === step)?.status !== "pending";
  await host.until(`/deploys/${id}`, passed, 60).catch(() => {});
}

/** Each kind of deploy: how it is asked for, and how it may end. */
const kinds = {
  push: {
    ends: ["succeeded"],
    ask: async (name) => (await host.deliver(name, good(name))).id,
  },
  broken: {
    ends: ["failed"],
    ask: async (name) => (await host.deliver(name, bad(name, "crash-at-boot"))).id,
  },
  cancel: {
    // A wish that came too late, or was not heard by a daemon that was killed, changes nothing.
    ends: ["canceled", "succeeded"],
    ask: async (name) => {
      const { id } = await host.deliver(name, good(name));
      await reached(id, "activate");
      await host.call("POST", `/deploys/${id}/cancel`);
      return id;
    },
  },
  rollback: {
    ends: ["succeeded"],
    ask: async (name) => (await host.call("POST", `/apps/${name}/rollback`)).body.id,
  },
  // Killed from its first instance on, and on the way back.
  beside: {
    ends: ["rolled_back"],
    from: /^pm2 start before/,
    isBad: true,
    ask: async (name) => (await host.deliver(name, bad(name, "broken-beside-old"))).id,
  },
  // Killed from the moment when it is the live release, and on the way back.
  live: {
    ends: ["rolled_back"],
    from: /^symlink current/,
    isBad: true,
    ask: async (name) => (await host.deliver(name, bad(name, "bad-when-live"))).id,
  },
};

/** Waits until nothing waits or runs, starting the daemon whenever it is gone. */
async function settle(deadline) {
  for (;;) {
    if (!host.isUp()) await host.start({ seams: true, env });
    try {
      const { body } = await host.get("/deploys?limit=100");
      const open = body.deploys.filter(({ status }) => ["queued", "running"].includes(status));
      if (open.length === 0) return;
      if (Date.now() > deadline) throw new Error(`still ${open[0].status}: ${JSON.stringify(open[0])}`);
    } catch (error) {
      if (host.isUp() && Date.now() > deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function check(what, kind, name, id, known) {
  const said = [];
  const all = (await ids()).filter((one) => !known.has(one));
  if (id !== undefined && !all.includes(id)) said.push(`the acknowledged deploy ${id} is lost`);
  const ended = [];
  for (const one of all) {
    const { body } = await host.get(`/deploys/${one}`);
    ended.push(body.status);
    if (!kinds[kind].ends.includes(body.status))
      said.push(`${one} ended ${body.status}: ${JSON.stringify(body.error)}`);
    if (body.status === "succeeded" && !body.receipt) said.push(`${one} has no receipt`);
    if (body.receipt?.failed > 0 && !kinds[kind].isBad)
      said.push(`${one}: ${body.receipt.failed} probes failed`);
    if (body.steps.some(({ status }) => status === "running")) said.push(`${one}: a step still runs`);
  }
  const { faults: seen } = await inspect(host, wanted, { settled: ended.length > 0 ? [name] : [] });
  said.push(...seen);
  let failed = 0;
  for (const load of Object.values(loads)) failed += (await load.snapshot()).failed;
  if (failed > failedBefore) {
    const failures = (await Promise.all(Object.values(loads).map((load) => load.snapshot()))).flatMap(
      ({ failures }) => failures,
    );
    said.push(`${failed - failedBefore} requests failed: ${JSON.stringify(failures.slice(-3))}`);
  }
  failedBefore = failed;
  for (const one of said) faults.push(`${what}: ${one}`);
  if (said.length > 0) {
    console.error(`${what}:\n  ${said.join("\n  ")}`);
    for (const one of all) {
      const log = await fetch(`http://127.0.0.1:${host.port}/deploys/${one}/logs`, {
        headers: { authorization: `Bearer ${host.token}` },
      });
      console.error((await log.text()).replace(/^/gm, "    "));
    }
  }
  return ended;
}

/** The kinds of seams of one unharmed deploy, in order. */
async function traced(kind, name) {
  const known = new Set(await ids());
  await host.aim(undefined);
  const began = Date.now();
  const id = await kinds[kind].ask(name);
  await settle(Date.now() + 120_000);
  const durationMs = Date.now() - began;
  const passed = readFileSync(traceFile, "utf8").split("\n").filter(Boolean);
  const ended = await check(`unharmed ${kind}`, kind, name, id, known);
  return { passed, durationMs, ended };
}

/** Takes the aim away; false when it was hit before. */
async function isHarmless() {
  await Promise.race([host.gone(), host.aim(undefined).catch(() => host.gone())]);
  return host.isUp();
}

async function kill(kind, name, seam) {
  const known = new Set(await ids());
  await host.aim(seam);
  const builtBefore = builds();
  const id = await kinds[kind].ask(name).catch(() => undefined);
  // Either it is killed there, or this deploy passed that seam a time less than the one before.
  const over = new AbortController();
  const ended = async () => {
    while (!over.signal.aborted && host.isUp()) {
      const { body } = await host.get("/deploys?limit=10").catch(() => ({ body: {} }));
      if (body.deploys?.every(({ status }) => !["queued", "running"].includes(status))) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  await Promise.race([host.gone(), ended()]);
  let dead = !host.isUp();
  const began = Date.now();
  if (dead) {
    killed++;
    // One in five hits the daemon again on its way up or while it makes good.
    const second = next() < 0.2 && killed < wantedKills ? pick(recovery) : undefined;
    await host.start({ seams: true, env: { ...env, ...(second && { SOAK_KILL_AT: second }) } });
    if (second) {
      await Promise.race([host.gone(), ended()]);
      if (await isHarmless()) over.abort();
      else {
        killed++;
        again++;
        await host.start({ seams: true, env });
      }
    }
  } else if (!(await isHarmless())) {
    killed++;
    dead = true;
  }
  over.abort();
  await settle(Date.now() + 120_000);
  tookMs.push(Date.now() - began);
  // What was built stays built: PM2 is asked of nothing while something is built.
  const built = builds() - builtBefore;
  if (id !== undefined && kind === "push" && seam.startsWith("pm2 ") && built !== 1)
    faults.push(`${kind} of ${name} killed at ${seam}: built ${built} times`);
  const ends = await check(`${kind} of ${name} killed at ${seam}`, kind, name, id, known);
  done.push({ kind, seam, dead, ends });
  if (dead) console.log(`${killed} ${kind} ${seam}: ${ends.join(" ") || "never acknowledged"}`);
}

/** Where a daemon that recovers can be hit: at its first writes, and at any call and command. */
const recovery = [
  ...[1, 2, 3, 4, 5, 6].flatMap((n) => [
    `commit before#${n}`,
    `commit after#${n}`,
    `write before#${n}`,
    `write after#${n}`,
  ]),
  ...["pm2 list", "pm2 listen", "pm2 start", "pm2 remove"].flatMap((call) =>
    ["before", "sent", "answered"].map((when) => `${call} ${when}#1`),
  ),
  ...[20, 200, 500, 1000, 1500].map((ms) => `time#${ms}`),
];

const began = Date.now();
const coverage = {};
try {
  await host.start({ seams: true, env });
  for (const name of names) {
    for (let n = 0; n < 2; n++) {
      await host.deliver(name, good(name));
      await settle(Date.now() + 120_000);
    }
  }
  for (const name of names)
    loads[name] = await startLoad({
      port: host.repos[name].port,
      clients: 6,
      pauseMs: 30,
      maxSeconds: 3600,
      handlers: [0, 50, 0, 300],
      badAnswers,
    });
  const places = {};
  const chosen = values.kinds.split(",");
  for (const kind of chosen) {
    const { passed: all, durationMs } = await traced(kind, names[0]);
    const from = kinds[kind].from ?? /./;
    const passed = all.slice(all.findIndex((seam) => from.test(seam)));
    // Of the calls that only look, a few stand for all.
    const seams = [...new Set(passed)].filter((seam) => !/ list | listen /.test(seam) || next() < 0.3);
    const times = kinds[kind].from ? 0 : 6;
    places[kind] = shuffled([...seams, ...Array.from({ length: times }, () => `time#${below(durationMs)}`)]);
    coverage[kind] = { seams: new Set(passed).size, killed: 0 };
    console.log(`unharmed ${kind}: ${passed.length} seams in ${durationMs} ms`);
  }
  // A share of each kind, the good pushes first in number.
  const shares = { push: 0.4, cancel: 0.15, rollback: 0.15, broken: 0.1, beside: 0.1, live: 0.1 };
  const order = shuffled(chosen.flatMap((kind) => Array(Math.ceil(wantedKills * shares[kind])).fill(kind)));
  for (let turn = 0; killed < wantedKills && turn < wantedKills * 3; turn++) {
    const kind = order[turn % order.length];
    const seam = places[kind][turn % places[kind].length];
    const before = killed;
    await kill(kind, names[turn % 2], seam);
    if (killed > before) coverage[kind].killed++;
    if (faults.length > 20) throw new Error("more than twenty faults");
  }
  const results = Object.fromEntries(
    await Promise.all(Object.entries(loads).map(async ([name, load]) => [name, await load.stop()])),
  );
  const ends = {};
  for (const { ends: some } of done) for (const one of some) ends[one] = (ends[one] ?? 0) + 1;
  const figures = {
    seed: Number(values.seed),
    kills: killed,
    duringRecovery: again,
    distinct: new Set(done.filter(({ dead }) => dead).map(({ kind, seam }) => `${kind} ${seam}`)).size,
    coverage,
    ends,
    recoveredMs: spread(tookMs),
    minutes: Math.round((Date.now() - began) / 6000) / 10,
    requests: Object.values(results).reduce((sum, { total }) => sum + total, 0),
    failed: Object.values(results).reduce((sum, { failed }) => sum + failed, 0),
    answeredByBadReleases: Object.values(results).reduce((sum, { bad }) => sum + bad, 0),
    faults: faults.length,
  };
  console.log(JSON.stringify(figures, null, 2));
  if (values.json)
    writeFileSync(values.json, `${JSON.stringify({ ...figures, done, said: faults }, null, 2)}\n`);
  if (figures.failed > 0) faults.push(`${figures.failed} requests failed`);
  if (killed < wantedKills) faults.push(`only ${killed} kills`);
} catch (error) {
  faults.push(`${error.stack}\n${host.said()}`);
} finally {
  await Promise.all(Object.values(loads).map((load) => load.abort().catch(() => {})));
  await host.end();
}
for (const fault of faults.slice(0, 30)) console.error(`✗ ${fault}`);
console.log(faults.length === 0 ? "as wanted" : `${faults.length} faults`);
process.exit(faults.length === 0 ? 0 : 1);
