import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openDatabase } from "../../src/adapters/sqlite/driver.js";
import { appFiles } from "../support/apps.js";
import { createDisk, type Disk } from "../support/disk.js";
import { createHost, type Host } from "../support/host.js";
import { type Load, startLoad } from "../support/load.js";
import { createRepo, type Files, type Repo } from "../support/repo.js";
import { freePort } from "../support/temp.js";
import { canMount } from "../support/tools.js";

/** The soft limit of open files: so many more than are open now, or 4096 and more. */
function limitFiles(pid: number, count: number): void {
  const files = count < 4096 ? readdirSync(`/proc/${pid}/fd`).length + count : count;
  execFileSync("prlimit", ["--pid", String(pid), `--nofile=${files}:`]);
}

describe.runIf(canMount())("the app under load while its host runs out of something", () => {
  let host: Host;
  let repo: Repo;
  let port: number;
  let root: Disk;
  let data: Disk;
  let load: Load;
  let version = 0;
  const live = () => `v${version}`;

  /** A commit of the app with these scripts for install, build and the hook before the rollout. */
  const commit = (scripts: { install?: string; build?: string; hook?: string } = {}) => {
    const files: Files = { ...appFiles({ kind: "http-close", release: `v${version + 1}`, port }) };
    for (const name of ["install", "build", "hook"] as const) files[`${name}.sh`] = scripts[name] ?? "true";
    return repo.commit(files, `v${version + 1}`);
  };
  const page = async () => (await fetch(`http://127.0.0.1:${port}/`)).text();
  const releases = () => readdirSync(join(root.path, "releases"));

  /** The next deploy is a good one, and goes live; of the one before nothing is left. */
  async function goesOn() {
    const sha = commit();
    const ended = await host.deploy(repo.fullName, sha);
    expect(ended, `${await host.logOf(ended.id)}\n${host.output.slice(-20).join("\n")}`).toMatchObject({
      status: "succeeded",
      receipt: { failed: 0 },
    });
    version++;
    expect(await page()).toContain(`ok ${live()} `);
    expect(await host.logOf(ended.id)).toContain("sh ./build.sh");
    expect(releases()).toContain(ended.release);
  }

  beforeAll(async () => {
    host = await createHost();
    port = await freePort();
    repo = createRepo(host.dir, "api");
    const path = host.addApp("api", {
      repository: repo.url,
      port,
      install: "sh ./install.sh",
      build: "sh ./build.sh",
      hooks: { beforeRollout: "sh ./hook.sh" },
      keep: 2,
      pm2: { script: "server.js", instances: 2 },
    });
    root = createDisk(path, 400, 24_000);
    data = createDisk(join(host.dir, "data"), 32, 256);
    await host.start();
    await goesOn();
    load = await startLoad({ port, clients: 8, maxSeconds: 600 });
  });
  afterAll(async () => {
    await load?.stop().catch(() => {});
    await host?.stop("SIGKILL");
    await host?.pm2.end();
    root?.end();
    data?.end();
    await host?.end();
  });

  it("disk full while installing: the deploy says so, nothing of it is left, and it goes on with room", async () => {
    const before = releases();
    const full = await host.deploy(repo.fullName, commit({ install: "dd if=/dev/zero of=big bs=1M" }));
    expect(full).toMatchObject({ status: "failed", error: { code: "disk_full", step: "install" } });
    expect(releases()).toEqual(before);
    await goesOn();
  });

  it("out of inodes while building: the same", async () => {
    const before = releases();
    const build = `node -e 'for (let i = 0;; i++) fs.closeSync(fs.openSync("f" + i, "w"))'`;
    const full = await host.deploy(repo.fullName, commit({ build }));
    expect(full).toMatchObject({ status: "failed", error: { code: "disk_full", step: "build" } });
    expect(releases()).toEqual(before);
    await goesOn();
  });

  // The whole gigabyte: DROPLESS_TEST_FLOOD_MB=1000.
  const flood = Number(process.env.DROPLESS_TEST_FLOOD_MB ?? 150);
  it(`a build that prints ${flood} MB, a line of 100 MB and binary: memory bounded, room left for the store, and it goes live`, async () => {
    data.fill(8 << 20);
    const pid = host.pid() as number;
    // From here on the peak counts.
    writeFileSync(`/proc/${pid}/clear_refs`, "5");
    const build = [
      `yes 'one line of as many as the noisiest of builds would print' | head -c ${flood}000000`,
      "head -c 100000000 /dev/zero | tr '\\0' x",
      "head -c 20000000 /dev/urandom",
    ];
    const ended = await host.deploy(repo.fullName, commit({ build: build.join("\n") }));
    expect(ended, host.output.slice(-20).join("\n")).toMatchObject({ status: "succeeded" });
    version++;
    const [, kilobytes] = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
    console.log(`The daemon's peak with a flood of ${flood} MB: ${Math.round(Number(kilobytes) / 1024)} MB`);
    expect(Number(kilobytes) / 1024).toBeLessThan(350);
    expect(data.room()).toBeGreaterThan(1 << 20);
    // What was written before is there, line by line.
    expect((await host.logOf(ended.id)).match(/^one line of as many .* print$/gm)?.length).toBeGreaterThan(
      1000,
    );
    data.free();
    await goesOn();
  });

  it("the store's disk full in the middle of a deploy: users see nothing, and it ends when there is room", async () => {
    const gate = join(host.dir, "gate");
    const pushed = await host.push(
      repo.fullName,
      commit({ build: `echo waiting; until [ -e ${gate} ]; do sleep 0.05; done` }),
    );
    expect(await host.reached(pushed.body.id, "build")).toBe(true);
    host.output.length = 0;
    // What the journal holds already it could write on into, full disk or not.
    const store = openDatabase(join(data.path, "dropless.db"));
    store.exec("PRAGMA busy_timeout = 10000; PRAGMA wal_checkpoint(TRUNCATE)");
    store.close();
    data.fill();
    writeFileSync(gate, "");
    await expect
      .poll(() => host.output.filter((line) => line.includes("store could not be written")).length, {
        timeout: 120_000,
      })
      .toBeGreaterThan(0);
    expect((await host.call("GET", `/deploys/${pushed.body.id}`)).status).toBe(200);
    expect(await page()).toContain(`ok ${live()} `);
    data.free();
    const ended = await host.ended(pushed.body.id);
    expect(ended).toMatchObject({ status: "failed", error: { code: "store_unwritable" } });
    expect(ended.error?.hint).toContain("room");
    await goesOn();
  });

  it("out of inodes in the data folder: the deploy goes live without its log, the next has one again", async () => {
    data.fillInodes();
    const ended = await host.deploy(repo.fullName, commit());
    expect(ended).toMatchObject({ status: "succeeded", receipt: { failed: 0 } });
    version++;
    expect(host.output.some((line) => line.includes("ENOSPC") && line.includes(ended.id))).toBe(true);
    data.free();
    await goesOn();
  });

  it("out of file descriptors: the deploy says so, and the next one works", async () => {
    const pid = host.pid() as number;
    const gate = join(host.dir, "gate-files");
    const build = `until [ -e ${gate} ]; do sleep 0.05; done`;
    const pushed = await host.push(repo.fullName, commit({ build }));
    expect(await host.reached(pushed.body.id, "build")).toBe(true);
    limitFiles(pid, 3);
    writeFileSync(gate, "");
    // Nobody can ask it now; what it says comes by what is open already.
    await expect
      .poll(
        () =>
          host.output.some((line) => line.includes(pushed.body.id) && line.includes("too_many_open_files")),
        {
          timeout: 120_000,
        },
      )
      .toBe(true);
    limitFiles(pid, 4096);
    const ended = await host.ended(pushed.body.id);
    expect(ended).toMatchObject({ status: "failed", error: { code: "too_many_open_files" } });
    expect(ended.error?.hint).toContain("ulimit -n");
    await goesOn();
    expect(host.pid()).toBe(pid);
  });

  it("the data folder turns read-only: clear errors, users see nothing; back as another device, it goes on without a person", async () => {
    const gate = join(host.dir, "gate-read-only");
    const pushed = await host.push(
      repo.fullName,
      commit({ build: `until [ -e ${gate} ]; do sleep 0.05; done` }),
    );
    expect(await host.reached(pushed.body.id, "build")).toBe(true);
    data.fail();
    host.output.length = 0;
    const refused = await host.push(repo.fullName, "1".repeat(40));
    expect(refused).toMatchObject({ status: 503, body: { code: "store_unwritable" } });
    writeFileSync(gate, "");
    await expect
      .poll(() => host.output.filter((line) => line.includes("store could not be written")).length, {
        timeout: 120_000,
      })
      .toBeGreaterThan(0);
    expect((await host.call("GET", "/healthz", undefined, "")).status).toBe(200);
    expect(await page()).toContain(`ok ${live()} `);
    const first = host.pid();
    data.comeBack();
    // What it has open is on the dead disk: it ends by itself, and whoever supervises it starts it again.
    await Promise.race([host.died(), new Promise((r) => setTimeout(r, 40000))]);
    console.log(host.output.join("\n"));
    expect(host.output.some((line) => line.includes("was mounted anew"))).toBe(true);
    await host.start();
    expect(host.pid()).not.toBe(first);
    // The good commit it was at.
    expect(await host.ended(pushed.body.id)).toMatchObject({ status: "succeeded" });
    version++;
    await goesOn();
  });

  it("and all the while no request failed", async () => {
    const seen = await load.stop();
    expect(seen.failures).toEqual([]);
    expect(seen.total).toBeGreaterThan(200);
  });
});
