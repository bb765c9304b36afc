#!/usr/bin/env node
/**
 * A burst of signed deliveries for three apps while a deploy runs, once with an idle machine and once with a build
 * that keeps every core busy. Wanted: each is answered 202 within GitHub's 10 s, none is lost, every id answers,
 * and the newest commit of each app is live at the end.
 *
 *   node scripts/soak/deliveries.js [--deliveries 10000]
 *
 * Exits with 1 when something was not as wanted.
 */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { holdingBuild, send } from "../bench/webhook.js";
import { createHost, spread } from "./lib/host.js";

const { values } = parseArgs({ options: { deliveries: { type: "string", default: "10000" } } });
const count = Math.min(Number(values.deliveries), 100_000);
const names = ["api", "web", "shop"];
const patienceMs = 10_000;

const host = await createHost(names, ({ name, dir }) =>
  name === "api" ? { build: `node hold.js ${dir}` } : {},
);
const faults = [];
const wanted = (isSo, what) => isSo || faults.push(what);

async function burst(mode) {
  writeFileSync(join(host.dir, "mode"), mode);
  rmSync(join(host.dir, "go"), { force: true });
  const first = await host.deliver("api", host.commit("api", { "hold.js": holdingBuild }));
  await host.until(`/deploys/${first.id}`, (it) => it.logTail?.includes("holding"));
  const shas = Object.fromEntries(
    names.map((name) => [name, Array.from({ length: 10 }, () => host.commit(name))]),
  );

  let rss = host.rssMb();
  const before = rss;
  const watch = setInterval(() => {
    rss = Math.max(rss, host.rssMb());
  }, 100);
  // In any order: the newest of each app comes again and again, the last to come is any of them.
  const {
    seconds,
    statuses: answered,
    latencies,
    ends,
    bodies,
  } = await send({
    port: host.port,
    path: "/webhooks/deploy",
    secret: host.secret,
    fullName: names.map((name) => `acme/${name}`),
    shas: Object.fromEntries(names.map((name) => [`acme/${name}`, shas[name]])),
    count,
    connections: 500,
    bytes: 2000,
    keepBodies: true,
  });
  clearInterval(watch);
  const ids = bodies.map((body) => JSON.parse(body));
  wanted(ids.length === count, `answered ${JSON.stringify(answered)}`);
  // As if each had been sent with the first: what waits for one of 500 connections waits for us too.
  wanted(Math.max(...ends) < patienceMs, "an answer took longer than GitHub waits");

  writeFileSync(join(host.dir, "go"), "");
  await host.until("/deploys?status=queued&limit=1", ({ deploys }) => deploys.length === 0, 240);
  await host.until("/deploys?status=running&limit=1", ({ deploys }) => deploys.length === 0, 240);
  for (const name of names) {
    const { body } = await host.get(`/apps/${name}`);
    const live = body.live?.commit ?? body.live?.sha ?? body.commit?.sha ?? body.commit;
    wanted(
      JSON.stringify(body).includes(shas[name].at(-1)),
      `${name}: ${JSON.stringify(live)} is live, not the newest`,
    );
  }
  // Every id ever given out keeps answering, here to its own token.
  const statuses = {};
  for (let n = 0; n < ids.length; n += Math.ceil(ids.length / 500)) {
    const { id, token } = ids[n];
    const answer = await fetch(`http://127.0.0.1:${host.port}/deploys/${id}`, {
      headers: { authorization: `Bearer ${token}` },
    });
    const { status } = await answer.json();
    statuses[status] = (statuses[status] ?? 0) + 1;
    wanted(answer.status === 200 && status !== "queued", `${id} answers ${answer.status} ${status}`);
  }
  wanted(new Set(ids.map(({ id }) => id)).size === ids.length, "an id was given out twice");
  console.log(
    `${mode}: ${ids.length} of ${count} deliveries acknowledged in ${seconds.toFixed(1)} s (${Math.round(count / seconds)} a second)\n` +
      `  answer, from when all were sent at once: ${spread(ends)}\n` +
      `  answer, from when a connection was free: ${spread(latencies)}\n` +
      `  memory of the daemon: ${before} MB before, ${rss} MB at most, ${host.rssMb()} MB after\n` +
      `  500 ids asked again: ${JSON.stringify(statuses)}`,
  );
  return ids.length;
}

try {
  await host.start({ quiet: true });
  let total = 0;
  for (const mode of ["idle", "busy"]) total += await burst(mode);
  let stored = 0;
  for (let before = ""; ; ) {
    const { body } = await host.get(`/deploys?limit=100${before && `&before=${before}`}`);
    stored += body.deploys.length;
    if (!body.next) break;
    before = body.next;
  }
  wanted(stored === total + 2, `${stored} deploys are stored, ${total + 2} were acknowledged`);
} catch (error) {
  faults.push(`${error.stack}\n${host.said()}`);
} finally {
  await host.end();
}
for (const fault of faults.slice(0, 20)) console.error(fault);
console.log(faults.length === 0 ? "as wanted" : `${faults.length} faults`);
process.exit(faults.length === 0 ? 0 : 1);
