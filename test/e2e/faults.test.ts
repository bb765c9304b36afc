import { execFile, execFileSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, closeSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { appFiles } from "../support/apps.js";
import { createHost, type Host } from "../support/host.js";
import { createRepo, type Repo } from "../support/repo.js";
import { freePort } from "../support/temp.js";

describe("promise 3 when PM2 fails", () => {
  let host: Host;
  let repo: Repo;
  let port: number;
  let first: string;
  let version = 0;

  const commit = (release = `v${++version}`) =>
    repo.commit(appFiles({ kind: "http-close", release, port }), release);
  const page = async () => (await fetch(`http://127.0.0.1:${port}/`)).text();
  const running = async () =>
    (await host.pm2.list()).map(({ pm2_env }) => `${pm2_env.status} ${pm2_env.NODE_APP_INSTANCE}`).sort();
  const killGod = async () => {
    const god = host.pm2.godPid() as number;
    process.kill(god, "SIGKILL");
    // Its apps go with it, by themselves.
    await expect.poll(() => page().catch(() => "gone"), { timeout: 60_000 }).toBe("gone");
  };

  beforeAll(async () => {
    host = await createHost();
    port = await freePort();
    repo = createRepo(host.dir, "api");
    host.addApp("api", {
      repository: repo.url,
      port,
      pm2: { script: "server.js", instances: 2 },
      // Long enough to be met in it on any machine.
      health: { path: "/", successes: 1, soak: "200ms", watch: "4s", ready: "20s" },
    });
    await host.start();
    first = commit("v0");
    expect(await host.deploy(repo.fullName, first)).toMatchObject({ status: "succeeded" });
  });
  afterAll(() => host?.end());

  it("God killed during a deploy: it ends with a clear error, and the live release serves again", async () => {
    const pushed = await host.push(repo.fullName, commit());
    expect(await host.reached(pushed.body.id, "watch")).toBe(true);
    await killGod();
    const ended = await host.ended(pushed.body.id);
    expect(ended, host.output.slice(-20).join("\n")).toMatchObject({ status: "rolled_back" });
    expect(ended.error?.message).not.toBe("");
    expect(ended.error?.hint).not.toBe("");
    expect(await page()).toContain("ok v0 ");
    expect(await running()).toEqual(["online 0", "online 1"]);
  });

  it("God killed while nothing is deployed, and what it had saved lost with it: the live release serves again", async () => {
    for (const name of ["dump.pm2", "dump.pm2.bak"]) rmSync(join(host.pm2.home, name), { force: true });
    await killGod();
    await expect
      .poll(() => page().catch(() => "gone"), { timeout: 120_000, interval: 200 })
      .toContain("ok v0 ");
    await expect.poll(running, { timeout: 60_000 }).toEqual(["online 0", "online 1"]);
    expect(host.output.some((line) => line.includes("PM2 has lost api: bringing"))).toBe(true);
  });

  it("God killed while the daemon is away: at its start the live release serves again", async () => {
    await host.stop();
    await killGod();
    await host.start();
    await expect
      .poll(() => page().catch(() => "gone"), { timeout: 120_000, interval: 200 })
      .toContain("ok v0 ");
    await expect.poll(running, { timeout: 60_000 }).toEqual(["online 0", "online 1"]);
  });

  it("PM2 came up empty: the live release is back before the next deploy, whatever becomes of that", async () => {
    await host.pm2.cli("delete", "all");
    const broken = repo.commit(appFiles({ kind: "crash-at-boot", release: "broken", port }), "broken");
    expect(await host.deploy(repo.fullName, broken)).toMatchObject({ status: "failed" });
    expect(await page()).toContain("ok v0 ");
    expect(await running()).toEqual(["online 0", "online 1"]);
  });

  it("what a person has stopped stays stopped when the daemon starts", async () => {
    await host.pm2.cli("stop", "api");
    await host.stop();
    await host.start();
    // Deploys wait for whatever the start does; this one is live already.
    expect(await host.deploy(repo.fullName, first)).toMatchObject({ status: "skipped" });
    expect(await running()).toEqual(["stopped 0", "stopped 1"]);
    await host.pm2.cli("restart", "api");
    expect(await running()).toEqual(["online 0", "online 1"]);
  });

  it("God hangs: the deploy ends in bounded time with a clear error, and the next one works", async () => {
    const god = host.pm2.godPid() as number;
    const pushed = await host.push(repo.fullName, commit());
    expect(await host.reached(pushed.body.id, "preflight")).toBe(true);
    process.kill(god, "SIGSTOP");
    try {
      const ended = await host.ended(pushed.body.id);
      expect(["failed", "rollback_failed"], JSON.stringify(ended.error)).toContain(ended.status);
      expect(ended.error?.message).toContain("did not answer");
      expect(ended.error?.hint).not.toBe("");
    } finally {
      process.kill(god, "SIGCONT");
    }
    await host.call("DELETE", "/apps/api/hold");
    expect(await host.deploy(repo.fullName, commit("v9"))).toMatchObject({ status: "succeeded" });
    expect(await page()).toContain("ok v9 ");
    expect(await running()).toEqual(["online 0", "online 1"]);
  });

  it("a second daemon on the data folder refuses, and says why", async () => {
    const main = join(import.meta.dirname, "../../dist/main.js");
    const second = promisify(execFile)(process.execPath, [main], { env: host.env, timeout: 60_000 });
    const refused = await second.then(() => undefined).catch((error) => error);
    expect(refused).toMatchObject({ code: 2, killed: false });
    expect(refused.stderr).toContain(`in use by the process with pid ${host.pid()}`);
    expect(refused.stderr).not.toMatch(/^\s+at /m);
  });
});

const system = (program: string, ...args: string[]) => execFileSync(program, args, { stdio: "pipe" });
const isRoot = process.getuid?.() === 0;

/** A file system of its own needs root, and is not granted in every container. */
function mount(path: string): boolean {
  mkdirSync(path, { recursive: true });
  try {
    system("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", path);
    return true;
  } catch {
    return false;
  }
}

describe("the data folder's disk", () => {
  let host: Host;
  let repo: Repo;
  let data: string;
  let isMounted = false;

  beforeAll(async () => {
    host = await createHost();
    data = join(host.dir, "data");
    isMounted = isRoot && mount(data);
    repo = createRepo(host.dir, "api");
    // It ends before anything would be asked of PM2.
    host.addApp("api", {
      repository: repo.url,
      port: await freePort(),
      install: "echo no; exit 3",
      pm2: { script: "server.js" },
    });
  });
  afterAll(async () => {
    await host?.stop("SIGKILL");
    if (isMounted) system("umount", "-l", data);
    await host?.end();
  });

  it("full: refused with a clear error, nothing lost, and it goes on when there is room again", async () => {
    await host.start();
    const before = await host.deploy(repo.fullName, repo.commit({}, "one"));
    expect(before.error).toMatchObject({ code: "install_failed" });
    if (!isMounted)
      return console.warn("NOT TESTED: a full disk, because no file system can be mounted here");

    const filler = join(data, "filler");
    const file = openSync(filler, "w");
    for (const size of [65_536, 4096, 256]) {
      try {
        for (;;) writeSync(file, Buffer.alloc(size));
      } catch (error) {
        expect((error as NodeJS.ErrnoException).code).toBe("ENOSPC");
      }
    }
    closeSync(file);
    const sha = repo.commit({}, "two");
    const refused = await host.push(repo.fullName, sha);
    expect(refused).toMatchObject({ status: 503, body: { code: "store_unwritable" } });
    expect(refused.body.hint).toContain("room");
    expect((await host.call("GET", "/healthz", undefined, "")).status).toBe(200);
    expect((await host.call("GET", `/deploys/${before.id}`)).body).toMatchObject({ status: "failed" });
    rmSync(filler);
    const after = await host.deploy(repo.fullName, sha);
    expect(after).toMatchObject({ status: "failed", error: { code: "install_failed" } });
    expect(await host.logOf(after.id)).toContain("no");
  });

  it("read-only: the daemon does not start, and says why", async () => {
    await host.stop();
    if (isMounted) system("mount", "-o", "remount,ro", data);
    else if (isRoot)
      return console.warn("NOT TESTED: a read-only data folder, because nothing can be mounted");
    else chmodSync(data, 0o500);
    const refused = await host.start().then(
      () => "it has started",
      (error: Error) => error.message,
    );
    if (!isMounted) chmodSync(data, 0o700);
    expect(refused).toContain("ended with 2");
    expect(refused).toContain(`The data folder ${data} cannot be used`);
  });
});

describe("a git server that fails", () => {
  let host: Host;
  let server: Server;
  let behaviour: (response: ServerResponse) => void;
  let asked: () => void = () => {};

  beforeAll(async () => {
    host = await createHost();
    server = createServer((_, response) => {
      asked();
      behaviour(response);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    host.addApp("api", {
      repository: `http://127.0.0.1:${port}/acme/api.git`,
      port: await freePort(),
      pm2: { script: "server.js" },
    });
    await host.start();
  });
  afterAll(async () => {
    server?.close();
    server?.closeAllConnections();
    await host?.end();
  });

  it.each([
    ["a page of HTML", "<!DOCTYPE html>\n<html>\n<h1>Sign in</h1>\n</html>\n"],
    ["a page of HTML in one line", "<html>Welcome to the captive portal</html>"],
  ])("that answers %s: the deploy fails in its fetch, and says what to check", async (_, page) => {
    behaviour = (response) => void response.setHeader("content-type", "text/html").end(page);
    const ended = await host.deploy("acme/api", "1".repeat(40));
    expect(ended).toMatchObject({ status: "failed", error: { step: "fetch" } });
    expect(ended.error?.message).toContain("no repository");
    expect(ended.error?.hint).toContain("`repository`");
    expect(await host.logOf(ended.id)).not.toContain("trying again");
  });

  it.each([401, 403])("that refuses credentials with %i: at once, and says so", async (status) => {
    behaviour = (response) => void response.writeHead(status, { "www-authenticate": "Basic realm=x" }).end();
    const ended = await host.deploy("acme/api", "2".repeat(40));
    expect(ended).toMatchObject({ status: "failed", error: { step: "fetch", code: "git_auth" } });
    expect(await host.logOf(ended.id)).not.toContain("trying again");
  });

  it("that hangs: a cancel ends the deploy at once, and the queue goes on", async () => {
    behaviour = () => {};
    const hanging = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const { body } = await host.push("acme/api", "3".repeat(40));
    await hanging;
    const canceled = await host.call("POST", `/deploys/${body.id}/cancel`);
    expect(canceled.status).toBe(202);
    expect(await host.ended(body.id)).toMatchObject({ status: "canceled" });
    behaviour = (response) => void response.writeHead(404).end();
    const next = await host.deploy("acme/api", "4".repeat(40));
    expect(next).toMatchObject({ status: "failed", error: { step: "fetch", code: "git_unreachable" } });
  });
});
