import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { findGod } from "../../src/adapters/pm2/god.js";
import { watchGod } from "../../src/adapters/pm2/god-watch.js";
import { createPm2 } from "../../src/adapters/pm2/pm2.js";
import type { Pm2 } from "../../src/rollout/pm2.js";
import { createPrivatePm2, type PrivatePm2 } from "../support/pm2.js";
import { makeTempDir, removeTempDir } from "../support/temp.js";

let god: PrivatePm2;
let pm2: Pm2;
const folder = makeTempDir("pm2");

beforeAll(() => {
  god = createPrivatePm2();
  pm2 = createPm2({ pm2Home: god.home, deadlineMs: 60_000 });
  writeFileSync(join(folder, "job.js"), "setInterval(() => {}, 1000);\n");
});
afterAll(async () => {
  await pm2?.close();
  await god?.end();
  removeTempDir(folder);
});

const job = (number: number) => ({
  definition: { name: "job", script: join(folder, "job.js"), cwd: folder, exec_mode: "cluster" },
  env: { GREETING: "hello" },
  number,
  instanceVar: "SLOT",
});

test("looking and starting never make a God daemon; only `ensure` does, once", async () => {
  expect(await pm2.list()).toEqual([]);
  await expect(pm2.start(job(0))).rejects.toMatchObject({ code: "pm2_unreachable" });
  expect(findGod(god.home)).toBeUndefined();
  // While it starts, somebody looks all the time: a page that is open, a `dropless status`.
  let starting = true;
  const started = Promise.all([pm2.ensure(), pm2.ensure()]).finally(() => {
    starting = false;
  });
  while (starting) await Promise.all([pm2.list(), sleep(5)]);
  expect(await started).toEqual(["started", "started"]);
  expect(await pm2.ensure()).toBe("running");
  expect(findGod(god.home)).toMatchObject({ pid: god.godPid(), version: expect.stringMatching(/^\d+\.\d+/) });
});

test("a process has the number it was given, also one that another has", async () => {
  await pm2.start(job(1));
  await pm2.start(job(0));
  const twin = await pm2.start(job(1));
  expect((await pm2.list()).map(({ number }) => number)).toEqual([1, 0, 1]);
  await pm2.remove(twin);
  // Gone already: nothing to do.
  await pm2.remove(twin);
  expect((await pm2.list()).map(({ number }) => number)).toEqual([1, 0]);
});

test("a God that hangs is told in time, and is used again when it goes on", async () => {
  const hasty = createPm2({ pm2Home: god.home, deadlineMs: 1500 });
  const pid = god.godPid() as number;
  process.kill(pid, "SIGSTOP");
  try {
    await expect(hasty.list()).rejects.toMatchObject({ code: "pm2_hung" });
  } finally {
    process.kill(pid, "SIGCONT");
  }
  expect(await pm2.list()).toHaveLength(2);
  await hasty.close();
});

test("a God that is killed is told at once, and what was saved comes back", async () => {
  await pm2.save();
  expect(readFileSync(join(god.home, "dump.pm2"), "utf8")).toContain("job.js");
  const killed = god.godPid() as number;
  process.kill(killed, "SIGSTOP");
  const waiting = pm2.list();
  await sleep(200);
  process.kill(killed, "SIGKILL");
  await expect(waiting).rejects.toMatchObject({ code: "pm2_unreachable" });
  while (findGod(god.home)) await sleep(20);
  expect(await pm2.ensure()).toBe("resurrected");
  const list = await pm2.list();
  expect(list.map(({ number }) => number).sort()).toEqual([0, 1]);
  expect(list[0]?.raw.env).toMatchObject({ GREETING: "hello" });
});

test("God's end is noticed without asking; one that a person ended is no loss", async () => {
  let lost = 0;
  let tell = () => {};
  const watch = watchGod({
    pm2Home: god.home,
    onLost: () => {
      lost++;
      tell();
    },
    settleMs: 200,
    restartMs: 0,
  });
  const told = () => new Promise<void>((resolve) => (tell = resolve));
  const attached = async () => {
    for (const until = Date.now() + 60_000; !(await watch.look()); await sleep(50))
      if (Date.now() > until) throw new Error("no God is watched");
  };
  try {
    await attached();
    await god.cli("kill");
    while (findGod(god.home)) await sleep(20);
    // Started by whoever wants it; it is watched in its turn.
    await god.cli("ping");
    await attached();
    expect(lost).toBe(0);
    const crash = told();
    process.kill(god.godPid() as number, "SIGKILL");
    await crash;
    expect(lost).toBe(1);
    expect(findGod(god.home)).toBeUndefined();
  } finally {
    watch.close();
  }
  await pm2.ensure();
});

test("no worker process is left behind", async () => {
  await pm2.list();
  const isWorker = (pid: string): boolean => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("adapters/pm2/worker.js");
    } catch {
      return false;
    }
  };
  const workers = () =>
    readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, "utf8").split(" ").filter(isWorker);
  expect(workers()).toHaveLength(1);
  await pm2.close();
  for (const until = Date.now() + 30_000; workers().length > 0 && Date.now() < until; ) await sleep(20);
  expect(workers()).toEqual([]);
});
