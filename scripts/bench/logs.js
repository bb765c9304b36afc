/**
 * The log: how long a line takes from the child's write to a follower's read, and how fast many lines of a command
 * get into a deploy's log beside `cat` from a pipe into a file: printed one by one, as builds do, and a hundred at
 * once, as fast as a command can. `npm run bench -- logs` (scripts/bench/run.js).
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { openSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { createHost } from "../soak/lib/host.js";

/** Says the time now and then, or prints many lines; told by files, so that both are ordinary builds. */
const build = `
import { existsSync, readFileSync } from "node:fs";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
const [dir] = process.argv.slice(2);
const { mode, lines, atOnce } = JSON.parse(readFileSync(dir + "/mode", "utf8"));
console.log("ready");
while (!existsSync(dir + "/go")) await sleep(20);
if (mode === "times")
  for (let n = 0; n < lines; n++) {
    process.stdout.write("at " + Date.now() + " " + String(performance.timeOrigin + performance.now()) + "\\n");
    await sleep(20);
  }
else
  for (let n = 1; n <= lines; n += atOnce) {
    let text = "";
    for (let i = n; i < n + atOnce; i++) text += "[" + i + "] compiled ./src/components/module.tsx\\n";
    if (!process.stdout.write(text)) await once(process.stdout, "drain");
  }
`;

const wall = () => performance.timeOrigin + performance.now();

async function catted(host, script) {
  const began = performance.now();
  const printer = spawn(process.execPath, [script, host.dir], { stdio: ["ignore", "pipe", "inherit"] });
  const cat = spawn("cat", { stdio: [printer.stdout, openSync(join(host.dir, "catted"), "w"), "inherit"] });
  await once(cat, "exit");
  return performance.now() - began;
}

async function run({ runs, tiny, log }) {
  const lines = tiny ? 2000 : 200_000;
  const host = await createHost(["api"], ({ dir }) => ({ build: `node print.js ${dir}` }));
  const go = join(host.dir, "go");
  const tell = (mode, count, atOnce) => {
    rmSync(go, { force: true });
    writeFileSync(join(host.dir, "mode"), JSON.stringify({ mode, lines: count, atOnce }));
  };
  const deploy = async () => (await host.deliver("api", host.commit("api", { "print.js": build }))).id;
  const ended = (id) => host.until(`/deploys/${id}`, (it) => !["queued", "running"].includes(it.status), 300);
  const delays = { p50: [], p99: [] };
  const floods = [1, 100].map((atOnce) => ({ atOnce, own: [], cat: [] }));
  const script = join(host.dir, "print.mjs");
  writeFileSync(script, build);
  try {
    await host.start({ quiet: true });
    for (let n = 0; n < runs; n++) {
      tell("times", tiny ? 20 : 500);
      const id = await deploy();
      await host.until(`/deploys/${id}`, (it) => it.logTail?.includes("ready"));
      const taken = [];
      const answer = await new Promise((resolve, reject) => {
        const headers = { authorization: `Bearer ${host.token}` };
        const path = `/deploys/${id}/logs?follow=1`;
        request({ host: "127.0.0.1", port: host.port, path, headers }, resolve).on("error", reject).end();
      });
      answer.setEncoding("utf8");
      answer.on("data", (text) => {
        const now = wall();
        for (const [, at] of text.matchAll(/^at \d+ ([\d.]+)$/gm)) taken.push(now - Number(at));
      });
      writeFileSync(go, "");
      await once(answer, "end");
      await ended(id);
      taken.sort((a, b) => a - b);
      const at = (share) => Number(taken[Math.floor(taken.length * share)].toFixed(1));
      delays.p50.push(at(0.5));
      delays.p99.push(at(0.99));

      log(`run ${n + 1}: p99 ${delays.p99.at(-1)} ms`);

      for (const { atOnce, own, cat } of floods) {
        tell("many", lines, atOnce);
        writeFileSync(go, "");
        const { steps } = await ended(await deploy());
        own.push(Math.round((lines / steps.find(({ name }) => name === "build").durationMs) * 1000));
        cat.push(Math.round((lines / (await catted(host, script))) * 1000));
        log(`run ${n + 1}, ${atOnce} at once: ${own.at(-1)} and ${cat.at(-1)} lines a second`);
      }
    }
  } finally {
    await host.end();
  }
  return {
    rows: [
      { what: "a line, from its write to a follower, p50", unit: "ms", ours: delays.p50 },
      {
        what: "a line, from its write to a follower, p99",
        unit: "ms",
        ours: delays.p99,
        goal: { of: "ours", most: 50 },
      },
      ...floods.map(({ atOnce, own, cat }) => ({
        what: `${lines.toLocaleString("en")} lines of a command, ${atOnce === 1 ? "one by one" : `${atOnce} at once`}`,
        unit: "/s",
        ours: own,
        theirs: cat,
        against: "`cat` into a file",
        goal: { of: "ratio", least: 0.5 },
        note: "both with the start of the command",
      })),
    ],
  };
}

export const bench = { name: "logs", about: "lines of a build's output", run };
