import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startProbe } from "../../src/adapters/probe.js";
import type { Pm2 } from "../../src/rollout/pm2.js";
import { type BadKind, badKinds } from "../support/apps.js";
import { startLoad } from "../support/load.js";
import { type Bench, createBench, environOf } from "../support/rollout.js";

let bench: Bench;
/** How many more calls that change something PM2 gets from us before we "die". */
let callsLeft = Number.POSITIVE_INFINITY;
/** Bytes. */
let freeMemory = Number.POSITIVE_INFINITY;

/** As after kill -9 of the daemon: from then on not even the way back is gone. */
const mortal = (pm2: Pm2): Pm2 => {
  const guard =
    <A extends unknown[], R>(call: (...args: A) => Promise<R>) =>
    (...args: A): Promise<R> =>
      callsLeft-- > 0 ? call(...args) : Promise.reject(new Error("killed"));
  return {
    ...pm2,
    start: guard(pm2.start),
    remove: guard(pm2.remove),
    stop: guard(pm2.stop),
    resume: guard(pm2.resume),
  };
};

beforeAll(async () => {
  bench = await createBench(mortal, undefined, () => freeMemory);
});
afterAll(async () => {
  await bench?.end();
});

const shown = async (changes: object = {}) =>
  (await bench.rollout.instances(bench.app(changes)))
    .map(({ number, release, status }) => `${number} ${release} ${status}`)
    .sort();

async function deploy(release: string, kind: Parameters<Bench["release"]>[1], changes: object = {}) {
  const io = bench.io();
  const target = bench.target(bench.app(changes), bench.release(release, kind));
  await bench.rollout.preflight(target, io);
  await bench.rollout.converge(target, io);
  await bench.rollout.watch(target, io);
  return { io, target };
}

test("deploys under load fail no request and leave instances 0 and 1 of the newest release", async () => {
  await deploy("r1", "http");
  expect(await shown()).toEqual(["0 r1 online", "1 r1 online"]);
  const load = await startLoad({ port: bench.port, clients: 12, kinds: ["keep-alive", "fresh"] });
  const probe = startProbe(bench.app(), bench.io().log);
  for (const release of ["r2", "r3", "r4"]) await deploy(release, release === "r3" ? "http-close" : "http");
  const receipt = await probe.stop();
  const result = await load.stop();
  expect(result.failures).toEqual([]);
  expect(Object.keys(result.releases).sort()).toEqual(["r1", "r2", "r3", "r4"]);
  expect(receipt).toMatchObject({ failed: 0 });
  expect(receipt.probes).toBeGreaterThan(50);
  expect(await shown()).toEqual(["0 r4 online", "1 r4 online"]);
});

test("the app sees its number, nothing of the daemon, and its log files keep their names", async () => {
  const before = readFileSync(join(bench.god.home, "logs", "api-out-0.log"), "utf8");
  process.env.SECRET_OF_THE_DAEMON = "do-not-leak";
  try {
    const release = bench.release("r5");
    writeFileSync(join(release.path, "package.json"), "{}");
    writeFileSync(
      join(release.path, "server.js"),
      `console.log("number", process.env.NODE_APP_INSTANCE, process.env.GONE, process.env.SECRET_OF_THE_DAEMON);
       require("http").createServer((req, res) => res.end("ok")).listen(process.env.PORT);`,
    );
    const io = bench.io();
    await bench.rollout.converge(bench.target(bench.app(), release, `${bench.root}a`, { GONE: "soon" }), io);
    expect(io.log.text()).toContain("number 0 soon undefined");
    expect(io.log.text()).toContain("number 1 soon undefined");
    await bench.rollout.converge(bench.target(bench.app(), release, `${bench.root}b`), bench.io());
    for (const number of [0, 1]) {
      const log = readFileSync(join(bench.god.home, "logs", `api-out-${number}.log`), "utf8");
      expect(log).toContain(`number ${number} undefined undefined`);
    }
    expect(readFileSync(join(bench.god.home, "logs", "api-out-0.log"), "utf8").startsWith(before)).toBe(true);
    for (const { pid } of await bench.rollout.instances(bench.app())) {
      expect(JSON.stringify(environOf(pid))).not.toContain("do-not-leak");
    }
    const list = await bench.pm2.list();
    expect(list.map(({ marks }) => marks.deploy)).toEqual([`${bench.root}b`, `${bench.root}b`]);
    expect(JSON.stringify(list)).not.toContain("do-not-leak");
  } finally {
    delete process.env.SECRET_OF_THE_DAEMON;
  }
});

test("a bad release of any kind is refused with its reason, and no user sees it", async () => {
  await deploy("good", "http");
  const load = await startLoad({
    port: bench.port,
    clients: 8,
    kinds: ["keep-alive", "fresh"],
    handlers: [0, 50],
  });
  const expected: Record<Exclude<BadKind, "broken-beside-old">, [string, RegExp]> = {
    "crash-at-boot": ["crashed_at_boot", /the database is not configured/],
    "syntax-error": ["crashed_at_boot", /SyntaxError/],
    "never-listens": ["never_listened", /did not listen on port/],
    "listens-elsewhere": ["listens_elsewhere", new RegExp(`${bench.elsewhere} instead of ${bench.port}`)],
    "answers-500": ["unhealthy", /GET \/ answered 500/],
    "dies-after-3s": ["died", /lost the connection to the queue/],
    "script-missing": ["script_missing", /server\.js/],
  };
  // So many boot at once; only who never listens where it should uses this up.
  const health = { successes: 2, ready: "12s", soak: "6s", watch: "0ms", timeout: "10s" };
  await Promise.all(
    badKinds
      .filter((kind) => kind !== "broken-beside-old")
      .map(async (kind) => {
        const [code, message] = expected[kind as keyof typeof expected];
        const io = bench.io();
        const target = bench.target(bench.app({ health }), bench.release(kind, kind));
        const refused = bench.rollout.preflight(target, io);
        await expect(refused, kind).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
      }),
  );
  expect((await load.stop()).failures).toEqual([]);
  expect(await shown()).toEqual(["0 good online", "1 good online"]);
});

test("a release that is broken only beside the old one is taken out again at once", async () => {
  const refused = deploy("beside", "broken-beside-old");
  await expect(refused).rejects.toMatchObject({
    code: "broken_beside_old",
    message: expect.stringContaining("answered 500"),
  });
  expect(await shown()).toEqual(["0 good online", "1 good online"]);
});

test("a crash in the rollout is told with its stack trace, and the old ones stay", async () => {
  const io = bench.io();
  const target = bench.target(bench.app(), bench.release("crash", "crash-at-boot"));
  await expect(bench.rollout.converge(target, io)).rejects.toMatchObject({ code: "crashed_at_boot" });
  expect(io.log.text()).toMatch(/the database is not configured[\s\S]*at .*server\.js/);
  expect(await shown()).toEqual(["0 good online", "1 good online"]);
});

test("killed between any two calls to PM2, the next converge ends with exactly the wanted instances", async () => {
  const app = bench.app();
  const releases = [bench.release("even", "http"), bench.release("odd", "http")];
  let live = 0;
  await bench.rollout.converge(bench.target(app, releases[0] as never), bench.io());
  // start, remove, start, remove: one more would be a whole rollout.
  for (let calls = 0; calls < 4; calls++) {
    const next = bench.target(app, releases[1 - live] as never);
    callsLeft = calls;
    await expect(bench.rollout.converge(next, bench.io())).rejects.toThrow();
    callsLeft = Number.POSITIVE_INFINITY;
    // Half of the times it was decided to go back.
    const back = calls % 2 === 1;
    const target = back ? { ...next, release: releases[live] as never } : next;
    await bench.rollout.converge(target, { ...bench.io(), trusted: back });
    if (!back) live = 1 - live;
    const name = live === 0 ? "even" : "odd";
    expect(await shown(), `after ${calls} calls`).toEqual([`0 ${name} online`, `1 ${name} online`]);
  }
});

test("a canceled rollout leaves what was there", async () => {
  const before = await shown();
  const canceled = new AbortController();
  const io = bench.io(canceled.signal);
  const target = bench.target(bench.app(), bench.release("canceled", "never-listens"));
  const running = bench.rollout.converge(target, io);
  while (!io.log.text().includes("starting instance")) await sleep(20);
  canceled.abort(new Error("canceled"));
  await expect(running).rejects.toThrow("canceled");
  expect(await shown()).toEqual(before);
});

test("more instances, with two at once, and then fewer", async () => {
  const four = { pm2: { script: "server.js", instances: 4 }, rollout: { surge: 2 } };
  await deploy("four", "http", four);
  expect(await shown(four)).toEqual([0, 1, 2, 3].map((number) => `${number} four online`));
  const load = await startLoad({
    port: bench.port,
    clients: 8,
    kinds: ["keep-alive", "fresh"],
    handlers: [0, 50],
  });
  await deploy("fours", "http", four);
  expect(await shown(four)).toEqual([0, 1, 2, 3].map((number) => `${number} fours online`));
  await deploy("one", "http", { pm2: { script: "server.js", instances: 1 } });
  expect((await load.stop()).failures).toEqual([]);
  expect(await shown()).toEqual(["0 one online"]);
});

/** Boots like any other; what accepts says so, and answers 500 beside others where it is told to. */
const telling = (name: string, bad = false) => {
  const release = bench.release(name);
  writeFileSync(join(release.path, "package.json"), "{}");
  writeFileSync(
    join(release.path, "server.js"),
    `const number = process.env.NODE_APP_INSTANCE;
     console.log("booted", number);
     const server = require("http").createServer((req, res) => {
       res.statusCode = ${bad} && process.env.DROPLESS_PREFLIGHT !== "1" ? 500 : 200;
       res.end("ok");
     });
     server.listen(process.env.PORT, () => console.log("accepts", number));`,
  );
  return release;
};

test("with room for all they boot side by side, and no second one accepts before the first is proven", async () => {
  const four = { pm2: { script: "server.js", instances: 4 }, rollout: { surge: "100%" } };
  const app = bench.app(four);
  const said = (io: ReturnType<Bench["io"]>, what: string) =>
    [...io.log.text().matchAll(new RegExp(`${what} (\\d)`, "g"))].map(([, number]) => number);
  await bench.rollout.converge(bench.target(app, telling("all1")), bench.io());

  const good = bench.io();
  await bench.rollout.converge(bench.target(app, telling("all2")), good);
  expect(said(good, "booted").sort()).toEqual(["0", "1", "2", "3"]);
  expect(said(good, "accepts")[0]).toBe("3");
  expect(good.log.text()).toMatch(/instance 3 of all2 healthy[\s\S]*instances 0, 1, 2 of all2 healthy/);
  expect(await shown(four)).toEqual([0, 1, 2, 3].map((number) => `${number} all2 online`));

  const bad = bench.io();
  const target = bench.target(app, telling("all3", true));
  await bench.rollout.preflight(target, bench.io());
  await expect(bench.rollout.converge(target, bad)).rejects.toMatchObject({ code: "broken_beside_old" });
  // How many got as far as to say so before the first was refused is the machine's to decide.
  expect(bad.log.text()).toContain("starting instances 3, 0, 1, 2 of all3 beside 4 running");
  expect(said(bad, "accepts")).toEqual(["3"]);
  expect(await shown(four)).toEqual([0, 1, 2, 3].map((number) => `${number} all2 online`));
});

test("killed with some that stand by, the next converge lets them or takes them out", async () => {
  const four = { pm2: { script: "server.js", instances: 4 }, rollout: { surge: "100%" } };
  const app = bench.app(four);
  // In the starts, before the first and after the last of the removals; and back or on.
  for (const [calls, back] of [
    [2, false],
    [4, true],
    [4, false],
    [6, false],
  ] as const) {
    const [before] = await bench.rollout.instances(app);
    const target = bench.target(app, telling(`kill${calls}${back}`));
    callsLeft = calls;
    await expect(bench.rollout.converge(target, bench.io())).rejects.toThrow("killed");
    callsLeft = Number.POSITIVE_INFINITY;
    const old = bench.release(String(before?.release));
    const next = back ? { ...target, release: old } : target;
    await bench.rollout.converge(next, { ...bench.io(), trusted: back });
    const wanted = [0, 1, 2, 3].map((number) => `${number} ${next.release.name} online`);
    expect(await shown(four), `after ${calls} calls`).toEqual(wanted);
    const answers = await Promise.all(wanted.map(() => fetch(`http://127.0.0.1:${bench.port}/`)));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  }
});

test("with memory for one more only, they are replaced one after the other, whatever surge says", async () => {
  const four = { pm2: { script: "server.js", instances: 4 }, rollout: { surge: "100%" } };
  const app = bench.app(four);
  const most = Math.max(...(await bench.rollout.instances(app)).map(({ memoryBytes }) => memoryBytes));
  freeMemory = 2 * most;
  try {
    const io = bench.io();
    await bench.rollout.converge(bench.target(app, telling("short")), io);
    const started = [...io.log.text().matchAll(/starting instances? ([\d, ]+) of short/g)];
    expect(started.map(([, numbers]) => numbers)).toEqual(["3", "0", "1", "2"]);
    expect(io.log.text()).toContain("memory for 1 more");
  } finally {
    freeMemory = Number.POSITIVE_INFINITY;
  }
  expect(await shown(four)).toEqual([0, 1, 2, 3].map((number) => `${number} short online`));
});

test("PM2 killed and gone: the next converge starts it and what was saved, and the release serves", async () => {
  await deploy("kept", "http");
  await bench.rollout.save();
  process.kill(bench.god.godPid() as number, "SIGKILL");
  const target = bench.target(bench.app(), bench.release("kept", "http"));
  while (existsSync(`/proc/${bench.god.godPid()}`)) await sleep(20);
  // Its apps go with it, by themselves.
  await expect
    .poll(() => fetch(`http://127.0.0.1:${bench.port}/`).catch(() => "gone"), { timeout: 60_000 })
    .toBe("gone");
  rmSync(join(bench.god.home, "pm2.pid"), { force: true });
  expect(await bench.rollout.instances(bench.app())).toEqual([]);
  const io = bench.io();
  await bench.rollout.converge(target, { ...io, trusted: true });
  expect(io.log.text()).toContain("brought back what was saved");
  expect(await shown()).toEqual(["0 kept online", "1 kept online"]);
});
