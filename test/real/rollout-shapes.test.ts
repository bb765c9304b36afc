import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { startProbe } from "../../src/adapters/probe.js";
import type { AppConfig } from "../../src/config/schema.js";
import { writeApp } from "../support/apps.js";
import { certificate } from "../support/certificate.js";
import { startLoad } from "../support/load.js";
import { type Bench, createBench } from "../support/rollout.js";
import { freePort } from "../support/temp.js";

let bench: Bench;
beforeAll(async () => {
  bench = await createBench();
});
afterAll(async () => {
  await bench?.end();
});
beforeEach(async () => {
  for (const process of await bench.pm2.list()) await bench.pm2.remove(process);
});

const shown = async (app: AppConfig) =>
  (await bench.rollout.instances(app))
    .map(({ name, number, release, status }) => `${name} ${number} ${release} ${status}`)
    .sort();

/** Started by a person's own `pm2 start`, from a checkout somewhere. */
async function byHand(...args: string[]) {
  const checkout = join(bench.root, "checkout");
  writeApp(checkout, { kind: "http-close", release: "by-hand", port: bench.port });
  const { code, stderr } = await bench.god.run(["start", "server.js", "--name", "api", ...args], {
    cwd: checkout,
  });
  expect(code, stderr).toBe(0);
}

test("instances started by hand are adopted, and a following deploy fails nothing", async () => {
  await byHand("-i", "2");
  const app = bench.app();
  const io = bench.io();
  await bench.rollout.converge(bench.target(app, bench.release("adopted", "http")), io);
  expect(io.log.text()).toContain("adopting 2 instances");
  expect(await shown(app)).toEqual(["api 0 adopted online", "api 1 adopted online"]);
  const load = await startLoad({
    port: bench.port,
    clients: 8,
    kinds: ["keep-alive", "fresh"],
    handlers: [0, 50],
  });
  await bench.rollout.converge(bench.target(app, bench.release("second", "http")), bench.io());
  expect((await load.stop()).failures).toEqual([]);
  expect(await shown(app)).toEqual(["api 0 second online", "api 1 second online"]);
});

test("a first deploy that fails leaves what was started by hand, as it was", async () => {
  await byHand("-i", "2");
  const before = await bench.god.list();
  const app = bench.app({ health: { successes: 2, ready: "20s", soak: "300ms", timeout: "10s" } });
  const target = bench.target(app, bench.release("bad-first", "answers-500"));
  await expect(bench.rollout.converge(target, bench.io())).rejects.toMatchObject({ code: "unhealthy" });
  const after = await bench.god.list();
  expect(after.map(({ pid }) => pid)).toEqual(before.map(({ pid }) => pid));

  // Also when it was found out only after all were replaced.
  const watched = bench.target(app, bench.release("bad-later", "http"));
  await bench.rollout.converge(watched, bench.io());
  await bench.rollout.withdraw(app, bench.io());
  const restored = await bench.pm2.list();
  expect(restored.map(({ status }) => status)).toEqual(["online", "online"]);
  expect(restored.map(({ script }) => script)).toEqual(before.map(({ pm2_env }) => pm2_env.pm_exec_path));
  expect(restored.map(({ marks }) => marks.release)).toEqual([undefined, undefined]);
  expect(restored.map(({ number }) => number).sort()).toEqual([0, 1]);
});

test("fork mode cannot share the port: a short gap, and the old one comes back when the new one is bad", async () => {
  await byHand();
  const app = bench.app({ pm2: { script: "server.js" } });
  await bench.rollout.converge(bench.target(app, bench.release("fork1", "http")), bench.io());
  expect(await shown(app)).toEqual(["api 0 fork1 online"]);
  const probe = startProbe(app, bench.io().log);
  const second = bench.target(app, bench.release("fork2", "http"));
  await bench.rollout.preflight(second, bench.io());
  await bench.rollout.converge(second, bench.io());
  expect(await shown(app)).toEqual(["api 0 fork2 online"]);
  const receipt = await probe.stop();
  expect(receipt.failed).toBeGreaterThan(0);
  const bad = bench.target(app, bench.release("fork3", "crash-at-boot"));
  await expect(bench.rollout.converge(bad, bench.io())).rejects.toMatchObject({ code: "crashed_at_boot" });
  expect(await shown(app)).toEqual(["api 0 fork2 online"]);
  const answer = await fetch(`http://127.0.0.1:${bench.port}/`);
  expect(await answer.text()).toContain("fork2");
});

test("from one process in fork mode to a cluster and back", async () => {
  await byHand();
  const cluster = bench.app();
  await bench.rollout.converge(bench.target(cluster, bench.release("cluster", "http")), bench.io());
  expect(await shown(cluster)).toEqual(["api 0 cluster online", "api 1 cluster online"]);
  const fork = bench.app({ pm2: { script: "server.js" } });
  await bench.rollout.converge(bench.target(fork, bench.release("forked", "http")), bench.io());
  expect(await shown(fork)).toEqual(["api 0 forked online"]);
});

test("an ecosystem file with a web app and a worker: each as the file says, and what left the file goes", async () => {
  const app = bench.app({ pm2: { config: "ecosystem.config.cjs" } });
  const make = (name: string, worker: string) => {
    const release = bench.release(name, "http");
    writeFileSync(
      join(release.path, "worker.mjs"),
      `console.log("worker", process.env.QUEUE, process.env.SLOT); ${worker !== "bad" ? "setInterval(() => {}, 1000);" : 'setTimeout(() => { throw new Error("no queue"); }, 300);'}`,
    );
    writeFileSync(
      join(release.path, "ecosystem.config.cjs"),
      `module.exports = { apps: [
        { name: "web", script: "./server.js", instances: "max", exec_mode: "cluster", max_memory_restart: "500M", env_production: { PORT: ${bench.port} } },
        { name: ${JSON.stringify(worker === "bad" ? "worker" : worker)}, script: "worker.mjs", instances: 2, instance_var: "SLOT", env: { QUEUE: "a" }, env_production: { QUEUE: "mail" } },
      ] };`,
    );
    return bench.target(app, release);
  };
  const io = bench.io();
  const first = make("eco1", "worker");
  await bench.rollout.preflight(first, io);
  await bench.rollout.converge(first, io);
  const cores = (await bench.pm2.list()).filter(({ name }) => name === "web").length;
  expect(cores).toBeGreaterThan(0);
  expect(io.log.text()).toMatch(/worker mail 0[\s\S]*worker mail 1|worker mail 1[\s\S]*worker mail 0/);
  expect((await shown(app)).filter((line) => line.startsWith("worker"))).toEqual([
    "worker 0 eco1 online",
    "worker 1 eco1 online",
  ]);
  const load = await startLoad({
    port: bench.port,
    clients: 6,
    kinds: ["keep-alive", "fresh"],
    handlers: [0],
  });
  const refused = bench.rollout.converge(make("eco2", "bad"), bench.io());
  await expect(refused).rejects.toMatchObject({ message: expect.stringContaining("no queue") });
  expect((await shown(app)).every((line) => line.includes(" eco1 online"))).toBe(true);

  await bench.rollout.converge(make("eco3", "jobs"), bench.io());
  expect((await load.stop()).failures).toEqual([]);
  const names = (await bench.pm2.list()).map(({ name }) => name);
  expect(new Set(names)).toEqual(new Set(["web", "jobs"]));
  expect((await bench.pm2.list()).find(({ name }) => name === "web")?.raw.max_memory_restart).toBe(
    500 * 1024 ** 2,
  );
});

test("an app without a port is judged by its processes staying online", async () => {
  const app = bench.app({ port: undefined, pm2: { script: "job.js", instances: 2 } });
  const make = (name: string, source: string) => {
    const release = bench.release(name);
    writeFileSync(join(release.path, "package.json"), "{}");
    writeFileSync(join(release.path, "job.js"), source);
    return bench.target(app, release);
  };
  const good = make("job1", "setInterval(() => {}, 1000);");
  await bench.rollout.preflight(good, bench.io());
  await bench.rollout.converge(good, bench.io());
  await bench.rollout.watch(good, bench.io());
  const bad = make("job2", "setTimeout(() => process.exit(3), 400); setInterval(() => {}, 1000);");
  await expect(bench.rollout.converge(bad, bench.io())).rejects.toMatchObject({ code: "crashed_at_boot" });
  expect(await shown(app)).toEqual(["api 0 job1 online", "api 1 job1 online"]);
});

test("what an operator typed in between is put right by the next deploy", async () => {
  const app = bench.app();
  await bench.rollout.converge(bench.target(app, bench.release("op1", "http")), bench.io());
  await bench.god.cli("scale", "api", "4");
  expect((await bench.pm2.list()).map(({ number }) => number).sort()).toEqual([0, 1, 2, 3]);
  await bench.god.cli("reload", "api");
  await bench.rollout.converge(bench.target(app, bench.release("op2", "http")), bench.io());
  expect(await shown(app)).toEqual(["api 0 op2 online", "api 1 op2 online"]);
  await bench.god.cli("stop", "api");
  await bench.rollout.converge(bench.target(app, bench.release("op3", "http")), bench.io());
  expect(await shown(app)).toEqual(["api 0 op3 online", "api 1 op3 online"]);
});

test("the watch tells what happened to a release that went live", async () => {
  const app = bench.app({
    health: { successes: 1, ready: "20s", soak: "0ms", watch: "60s", timeout: "10s" },
  });
  const order = join(bench.root, "die");
  // One of the two carries the order out, and it is carried out once.
  const dies = `plain.listen(port);
    setInterval(() => {
      console.log("at work");
      try {
        require("node:fs").unlinkSync(${JSON.stringify(order)});
      } catch {
        return;
      }
      throw new Error("lost the connection to the queue");
    }, 50)`;
  const target = bench.target(app, listening("dies", dies));
  await bench.rollout.converge(target, bench.io());
  const io = bench.io();
  const watched = bench.rollout.watch(target, io);
  // What it follows it has seen alive.
  await expect.poll(() => io.log.text(), { timeout: 50_000 }).toContain("at work");
  writeFileSync(order, "");
  await expect(watched).rejects.toMatchObject({
    code: "died_in_watch",
    message: expect.stringMatching(/lost the connection to the queue/),
  });
});

const listening = (name: string, how: string) => {
  const release = bench.release(name);
  writeFileSync(join(release.path, "package.json"), "{}");
  writeFileSync(join(release.path, "pair.json"), JSON.stringify(certificate));
  writeFileSync(
    join(release.path, "server.js"),
    `const answer = (req, res) => res.end("ok ${name} GET -\\n");
     const plain = require("http").createServer(answer);
     const tls = require("https").createServer(require("./pair.json"), answer);
     const port = ${bench.port};
     ${how};`,
  );
  return release;
};

test("an app that speaks TLS itself, or listens on one other address, is proven, watched and probed", async () => {
  const app = bench.app();
  for (const [name, how] of [
    ["tls", "tls.listen(port)"],
    ["elsewhere", 'plain.listen(port, "127.0.0.2")'],
  ] as const) {
    for (const process of await bench.pm2.list()) await bench.pm2.remove(process);
    for (const again of [1, 2]) {
      const target = bench.target(app, listening(`${name}${again}`, how));
      const io = bench.io();
      await bench.rollout.preflight(target, io);
      const probe = startProbe(app, io.log);
      await bench.rollout.converge(target, io);
      await bench.rollout.watch(target, io);
      expect(await probe.stop(), `${name}${again}: ${io.log.text()}`).toMatchObject({ failed: 0 });
      expect(await shown(app)).toEqual([`api 0 ${name}${again} online`, `api 1 ${name}${again} online`]);
    }
  }
});

test("from one name of every address to another nothing is lost; to a single address it says what to do", async () => {
  const app = bench.app();
  await bench.rollout.converge(bench.target(app, listening("none", "plain.listen(port)")), bench.io());
  const load = await startLoad({
    port: bench.port,
    clients: 6,
    kinds: ["fresh"],
    handlers: [0],
    check: false,
  });
  const steps = [
    ["four", 'plain.listen(port, "0.0.0.0")'],
    ["six", 'plain.listen({ port, host: "::" })'],
    ["none2", "plain.listen(String(port), () => {})"],
  ] as const;
  for (const [name, how] of steps) {
    const io = bench.io();
    await bench.rollout.converge(bench.target(app, listening(name, how)), io);
    expect(await shown(app)).toEqual([`api 0 ${name} online`, `api 1 ${name} online`]);
    expect(io.log.text().includes("on :: as the running ones"), name).toBe(name !== "none2");
  }
  const refused = bench.target(app, listening("single", 'plain.listen(port, "127.0.0.1")'));
  await expect(bench.rollout.converge(refused, bench.io())).rejects.toMatchObject({
    code: "port_in_use",
    message: expect.stringContaining(`127.0.0.1:${bench.port}`),
    hint: expect.stringContaining("pm2 stop"),
  });
  expect(await shown(app)).toEqual(["api 0 none2 online", "api 1 none2 online"]);
  const { total, failures } = await load.stop();
  expect(failures).toEqual([]);
  expect(total).toBeGreaterThan(50);
  // The other way round, too.
  for (const process of await bench.pm2.list()) await bench.pm2.remove(process);
  await bench.rollout.converge(bench.target(app, listening("four2", steps[0][1])), bench.io());
  await bench.rollout.converge(bench.target(app, listening("none3", "plain.listen(port)")), bench.io());
  expect(await shown(app)).toEqual(["api 0 none3 online", "api 1 none3 online"]);
});

test("ecosystem files of every kind are read in a clean process", async () => {
  const port = await freePort();
  const app = bench.app({ pm2: { config: "pm2.js" }, port });
  const server = `require("http").createServer((req, res) => res.end("ok")).listen(${port});`;
  const sources: [string, string, string][] = [
    [
      "pm2.js",
      '{ "type": "module" }',
      'module.exports = { apps: [{ script: "a.cjs", name: process.env.NAMED }] };',
    ],
    [
      "pm2.js",
      '{ "type": "module" }',
      'export default { apps: [{ script: "a.cjs", name: process.env.NAMED }] };',
    ],
    ["pm2.js", "{}", 'module.exports = [{ script: "a.cjs", name: process.env.NAMED }];'],
    ["pm2.json", "{}", '{ /* PM2 allows it */ "apps": [{ "script": "a.cjs", "name": "named" }], }'],
  ];
  for (const [index, [file, manifest, source]] of sources.entries()) {
    const release = bench.release(`kind${index}`);
    writeFileSync(join(release.path, "package.json"), manifest);
    writeFileSync(join(release.path, "a.cjs"), server);
    writeFileSync(join(release.path, file), source);
    const of = { ...app, pm2: { config: file } } as AppConfig;
    await bench.rollout.converge(
      bench.target(of, release, `${bench.root}${index}`, { NAMED: "named" }),
      bench.io(),
    );
    expect(await shown(of), source).toEqual([`named 0 kind${index} online`]);
  }
  const broken = bench.release("kind-broken");
  writeFileSync(join(broken.path, "pm2.js"), "module.exports = {");
  await expect(bench.rollout.converge(bench.target(app, broken), bench.io())).rejects.toMatchObject({
    code: "pm2_config",
    message: expect.stringContaining("SyntaxError"),
  });
  expect(readFileSync(join(broken.path, "pm2.js"), "utf8")).toBe("module.exports = {");
});
