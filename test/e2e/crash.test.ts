import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { appFiles } from "../support/apps.js";
import { createHost, type DeployAnswer, type Host } from "../support/host.js";
import { startLoad } from "../support/load.js";
import { createRepo, type Repo } from "../support/repo.js";
import { freePort } from "../support/temp.js";

/** A hundred kills at every step and between every two calls to PM2: scripts/soak/kills.js. */
describe("promise 3: nothing acknowledged is lost", () => {
  let host: Host;
  let repo: Repo;
  let port: number;
  let root: string;
  let block: Record<string, unknown>;

  beforeAll(async () => {
    // A short grace, so that the polite stop hands the deploy over instead of finishing it.
    host = await createHost({ env: { DROPLESS_STOP_GRACE_MS: "1500" } });
    port = await freePort();
    repo = createRepo(host.dir, "api");
    block = {
      repository: repo.url,
      port,
      install: "echo install >> ../../ran",
      build: "echo build >> ../../ran",
      migrate: "true",
      pm2: { script: "server.js", instances: 2 },
    };
    root = host.addApp("api", block);
    await host.start();
    const sha = repo.commit(appFiles({ kind: "http-close", release: "v0", port }), "v0");
    expect(await host.deploy(repo.fullName, sha)).toMatchObject({ status: "succeeded" });
  });
  afterAll(() => host?.end());

  let version = 0;
  it.each(["fetch", "install", "build", "migrate", "preflight", "rollout", "activate", "watch"])(
    "killed in %s",
    async (step) => {
      const release = `v${++version}`;
      writeFileSync(join(root, "ran"), "");
      const sha = repo.commit(appFiles({ kind: "http-close", release, port }), release);
      const load = await startLoad({ port, clients: 8 });
      const pushed = await host.push(repo.fullName, sha);
      expect(pushed.status).toBe(202);
      expect(await host.reached(pushed.body.id, step)).toBe(true);
      await host.stop("SIGKILL");
      await host.start();
      const ended = await host.ended(pushed.body.id);
      const seen = await load.stop();
      expect(ended, host.output.slice(-20).join("\n")).toMatchObject({ status: "succeeded" });
      expect(seen.failures).toEqual([]);
      const running = await host.pm2.list();
      expect(running.map((process) => process.pm2_env.status)).toEqual(["online", "online"]);
      expect(running.every((process) => process.pm2_env.pm_exec_path.includes(ended.release ?? "?"))).toBe(
        true,
      );
      // Whatever was half built is gone; what is there is whole.
      const releases = () => readdirSync(join(root, "releases"));
      // What was thrown away is removed after the deploy.
      await vi.waitFor(() => expect(releases().filter((name) => name.startsWith("."))).toEqual([]), 60_000);
      for (const name of releases())
        expect(existsSync(join(root, "releases", name, "server.js")), name).toBe(true);
    },
  );

  it("a deploy in whose rollout the daemon dies at every start is taken back", async () => {
    const seams = join(import.meta.dirname, "../../scripts/soak/lib/seams.js");
    const { body: app } = await host.call<{ live: { release: string } }>("GET", "/apps/api");
    const before = app.live.release;
    await host.stop();
    Object.assign(host.env, { NODE_OPTIONS: `--import ${seams}`, SOAK_KILL_AT: "pm2 start before#1" });
    await host.start();
    const load = await startLoad({ port, clients: 8 });
    const bad = repo.commit(appFiles({ kind: "http-close", release: "deadly", port }), "deadly");
    const { id } = (await host.push(repo.fullName, bad)).body;
    for (let deaths = 1; deaths <= 4; deaths++) {
      await host.died();
      // It may die again before anybody has read that it is ready.
      await host.start().catch(() => {});
    }
    const ended = await host.ended(id);
    expect(ended, host.output.slice(-20).join("\n")).toMatchObject({
      status: "rolled_back",
      error: { code: "crashed_the_daemon", step: "rollout" },
    });
    delete host.env.NODE_OPTIONS;
    await host.stop();
    await host.start();
    expect((await load.stop()).failures).toEqual([]);
    const running = await host.pm2.list();
    expect(running.map(({ pm2_env }) => pm2_env.pm_exec_path.includes(before))).toEqual([true, true]);
  });

  it("stopped politely in the middle of a deploy: finished or handed over", async () => {
    const sha = repo.commit(appFiles({ kind: "http-close", release: "polite", port }), "polite");
    const load = await startLoad({ port, clients: 8 });
    const pushed = await host.push(repo.fullName, sha);
    await host.reached(pushed.body.id, "preflight");
    await host.stop("SIGTERM");
    await host.start();
    const ended: DeployAnswer = await host.ended(pushed.body.id);
    const seen = await load.stop();
    expect(ended.status).toBe("succeeded");
    expect(seen.failures).toEqual([]);
  });

  it("`pm2 restart` of the daemon in the middle of a deploy: it is handed over, and goes live", async () => {
    await host.stop();
    const file = join(host.dir, "daemon.json");
    const [own] = (await import("../../ecosystem.config.js")).apps;
    const script = join(import.meta.dirname, "../../dist/main.js");
    const app = { ...own, script, cwd: host.dir, env: host.env };
    writeFileSync(file, JSON.stringify({ apps: [app] }));
    await host.pm2.cli("start", file);
    const isReady = () =>
      fetch(`${host.url}/readyz`).then(
        ({ status }) => status,
        () => 0,
      );
    await expect.poll(isReady, { timeout: 60_000 }).toBe(200);
    const load = await startLoad({ port, clients: 8 });
    const sha = repo.commit(appFiles({ kind: "http-close", release: "handed", port }), "handed");
    const { id } = (await host.push(repo.fullName, sha)).body;
    expect(await host.reached(id, "preflight")).toBe(true);
    await host.pm2.cli("restart", "dropless");
    const ended = await host.ended(id);
    expect(ended, await host.logOf(id)).toMatchObject({ status: "succeeded" });
    await host.pm2.cli("delete", "dropless");
    expect((await load.stop()).failures).toEqual([]);
    const running = await host.pm2.list();
    expect(running.map(({ pm2_env }) => pm2_env.pm_exec_path.includes(ended.release ?? "?"))).toEqual([
      true,
      true,
    ]);
  });

  it("a clock that goes a day forward and two back in the middle of a deploy changes nothing", async () => {
    // The daemon's own clock: the machine's is everybody's.
    const hours = join(host.dir, "hours");
    const clock = join(host.dir, "clock.mjs");
    writeFileSync(hours, "0");
    writeFileSync(
      clock,
      `import { readFileSync } from "node:fs";
       const real = Date.now;
       const now = () => real() + Number(readFileSync(${JSON.stringify(hours)})) * 3600000;
       globalThis.Date = new Proxy(Date, {
         get: (date, key) => (key === "now" ? now : Reflect.get(date, key)),
         construct: (date, args) => (args.length > 0 ? new date(...args) : new date(now())),
       });`,
    );
    await host.stop();
    // A watch that is long enough to be met in it.
    host.addApp("api", {
      ...block,
      health: { path: "/", successes: 2, soak: "300ms", watch: "4s", ready: "20s" },
    });
    Object.assign(host.env, { NODE_OPTIONS: `--import ${clock}` });
    await host.start();
    const load = await startLoad({ port, clients: 8 });
    const sha = repo.commit(appFiles({ kind: "http-close", release: "timeless", port }), "timeless");
    const { id } = (await host.push(repo.fullName, sha)).body;
    expect(await host.reached(id, "preflight")).toBe(true);
    writeFileSync(hours, "24");
    expect(await host.reached(id, "watch")).toBe(true);
    writeFileSync(hours, "-24");
    const ended = await host.ended(id);
    expect(ended, host.output.slice(-20).join("\n")).toMatchObject({ status: "succeeded" });
    expect(ended.steps.every(({ durationMs = 0 }) => durationMs >= 0)).toBe(true);
    // And back again while the daemon is away.
    await host.stop();
    delete host.env.NODE_OPTIONS;
    await host.start();
    const next = repo.commit(appFiles({ kind: "http-close", release: "present", port }), "present");
    const last = await host.deploy(repo.fullName, next);
    expect(last).toMatchObject({ status: "succeeded" });
    const { body } = await host.call<{ deploys: { id: string }[] }>("GET", "/deploys?limit=2");
    expect(body.deploys.map((one) => one.id)).toEqual([last.id, id]);
    expect((await load.stop()).failures).toEqual([]);
  });
});
