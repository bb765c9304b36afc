#!/usr/bin/env node
/**
 * Many followers of one deploy whose build prints a million lines: the same deploy alone, then followed. Wanted:
 * the deploy is not slowed, the daemon's memory stays bounded, and everyone who reads gets every event once and in
 * order, over reconnects too.
 *
 *   node scripts/soak/followers.js [--lines 1000000] [--readers 200] [--slow 200] [--stalled 100]
 *
 * Exits with 1 when an event was lost or repeated, or the memory grew beyond 400 MB.
 */
import { fork } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createHost } from "./lib/host.js";

const { values } = parseArgs({
  options: {
    lines: { type: "string", default: "1000000" },
    readers: { type: "string", default: "200" },
    slow: { type: "string", default: "200" },
    stalled: { type: "string", default: "100" },
  },
});
const lines = Math.min(Number(values.lines), 5_000_000);
const mostMb = 400;

/** Prints as fast as it is taken, once it is told to begin. */
const print = `
import { existsSync } from "node:fs";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
console.log("ready to print");
while (!existsSync(process.argv[2])) await sleep(50);
for (let n = 1; n <= ${lines}; n += 100) {
  let text = "";
  for (let i = n; i < n + 100; i++) text += "[" + i + "] compiled ./src/components/module.tsx\\n";
  if (!process.stdout.write(text)) await once(process.stdout, "drain");
}
`;

const host = await createHost(["api"], ({ dir }) => ({
  build: `node print.js ${join(dir, "go-$(cat turn)")}`,
}));
const faults = [];

async function turn(name, follow) {
  const sha = host.commit("api", { "print.js": print, turn: name });
  const { id } = await host.deliver("api", sha);
  await host.until(`/deploys/${id}`, (it) => it.logTail?.includes("ready to print"));
  let rss = host.rssMb();
  const before = rss;
  const watch = setInterval(() => {
    rss = Math.max(rss, host.rssMb());
  }, 100);
  const followers = await follow?.(id);
  writeFileSync(join(host.dir, `go-${name}`), "");
  const deploy = await host.until(`/deploys/${id}`, (it) => !["queued", "running"].includes(it.status), 600);
  const build = deploy.steps.find((step) => step.name === "build");
  if (deploy.status !== "succeeded") faults.push(`${name}: ${deploy.status} ${JSON.stringify(deploy.error)}`);
  const seen = await followers?.result;
  clearInterval(watch);
  return { ms: build.durationMs, before, rss, seen };
}

async function follow(id) {
  const path = join(import.meta.dirname, "lib/followers.js");
  const child = fork(
    path,
    [host.port, host.token, id, values.readers, values.slow, values.stalled].map(String),
  );
  const result = new Promise((resolve, reject) => {
    child.on("message", (message) => message !== "connected" && resolve(message));
    child.once("exit", (code) => reject(new Error(`the followers ended with ${code}`)));
  });
  result.catch(() => {});
  await new Promise((resolve) => child.on("message", (message) => message === "connected" && resolve()));
  return { result };
}

try {
  await host.start();
  const alone = await turn("alone");
  const followed = await turn("followed", follow);
  const all = ["readers", "slow", "stalled"].map((key) => `${values[key]} ${key}`).join(", ");
  console.log(
    `a build of ${lines} lines alone: ${(alone.ms / 1000).toFixed(1)} s, ${alone.rss} MB\n` +
      `with ${all}: ${(followed.ms / 1000).toFixed(1)} s (${(followed.ms / alone.ms).toFixed(2)} times), ` +
      `${followed.before} MB before, ${followed.rss} MB at most`,
  );
  const { seen } = followed;
  console.log(
    `readers by the last event they got: ${JSON.stringify(seen.ends)}; ${seen.lines} events in all, each once and in order, ` +
      `over ${seen.reconnects} reconnects`,
  );
  faults.push(...seen.faults);
  const [last, ...others] = Object.entries(seen.ends);
  if (others.length > 0 || last[0] < lines || last[1] !== Number(values.readers))
    faults.push("not everyone who read came to the end");
  if (followed.rss > mostMb) faults.push(`${followed.rss} MB of memory`);
} catch (error) {
  faults.push(`${error.stack}\n${host.said()}`);
} finally {
  await host.end();
}
for (const fault of faults) console.error(fault);
console.log(faults.length === 0 ? "as wanted" : `${faults.length} faults`);
process.exit(faults.length === 0 ? 0 : 1);
