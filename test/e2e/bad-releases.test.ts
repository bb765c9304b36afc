import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { appFiles, type BadKind, badKinds } from "../support/apps.js";
import { createHost, type Host } from "../support/host.js";
import { startLoad } from "../support/load.js";
import { createRepo, type Repo } from "../support/repo.js";
import { freePort } from "../support/temp.js";

/** Which step must refuse it. What is told in a sentence differs by app, the code does not. */
const refusals: Record<BadKind, { step: string; code: string }> = {
  "crash-at-boot": { step: "preflight", code: "crashed_at_boot" },
  "never-listens": { step: "preflight", code: "never_listened" },
  "listens-elsewhere": { step: "preflight", code: "listens_elsewhere" },
  "answers-500": { step: "preflight", code: "unhealthy" },
  "dies-after-3s": { step: "preflight", code: "died" },
  "script-missing": { step: "preflight", code: "script_missing" },
  "syntax-error": { step: "preflight", code: "crashed_at_boot" },
  "broken-beside-old": { step: "rollout", code: "broken_beside_old" },
};

describe("promise 2: a bad release never reaches users", () => {
  let host: Host;
  let repo: Repo;
  let port: number;
  let elsewhere: number;
  let good: string;

  beforeAll(async () => {
    host = await createHost();
    port = await freePort();
    elsewhere = await freePort();
    repo = createRepo(host.dir, "api");
    host.addApp("api", {
      repository: repo.url,
      port,
      migrate: "test ! -e migration-fails",
      health: { path: "/", successes: 2, soak: "4s", watch: "6s", ready: "8s" },
      drain: { timeout: "8s" },
      pm2: { script: "server.js", instances: 2 },
    });
    await host.start();
    good = repo.commit(appFiles({ kind: "http-close", release: "good", port }), "good");
    expect(await host.deploy(repo.fullName, good)).toMatchObject({ status: "succeeded" });
  });
  afterAll(() => host?.end());

  const running = async () =>
    (await host.pm2.list()).map((process) => [
      process.pid,
      process.pm2_env.status,
      process.pm2_env.restart_time,
    ]);

  async function refused(files: Record<string, string>, message: string) {
    const before = await running();
    const load = await startLoad({ port });
    const deploy = await host.deploy(repo.fullName, repo.commit(files, message));
    const seen = await load.stop();
    // Left as it was found, for the next one.
    repo.reset(good);
    return { deploy, seen, untouched: JSON.stringify(await running()) === JSON.stringify(before) };
  }

  it.each(badKinds)("%s", async (kind) => {
    const files = appFiles({ kind, release: kind, port, elsewhere });
    if (kind === "script-missing") repo.git("rm", "-q", "server.js");
    const { deploy, seen, untouched } = await refused(files, kind);
    const { step, code } = refusals[kind];
    expect(deploy.status).toBe(step === "preflight" ? "failed" : "rolled_back");
    expect(deploy.error).toMatchObject({ step, code });
    expect(deploy.error?.message.length).toBeGreaterThan(20);
    expect(deploy.error?.hint.length).toBeGreaterThan(10);
    expect(untouched).toBe(true);
    if (kind === "broken-beside-old") {
      // One new instance of three had to answer once before it could be known.
      expect(seen.failures.filter((failure) => !failure.message.includes("500"))).toEqual([]);
      expect(seen.failed).toBeLessThan(60);
    } else {
      expect(seen.failures).toEqual([]);
      expect(Object.keys(seen.releases)).toEqual(["good"]);
    }
  });

  const goodFiles = () => appFiles({ kind: "http-close", release: "never", port });
  const packageJson = (more: object) =>
    JSON.stringify({ name: "app", version: "1.0.0", type: "module", ...more });

  it("a build that fails", async () => {
    const { deploy, seen, untouched } = await refused(
      {
        ...goodFiles(),
        "package.json": packageJson({ scripts: { build: "echo the types are wrong >&2; exit 3" } }),
      },
      "build fails",
    );
    expect(deploy).toMatchObject({ status: "failed", error: { step: "build", code: "build_failed" } });
    expect(deploy.logTail.join("\n")).toContain("the types are wrong");
    expect(seen.failures).toEqual([]);
    expect(untouched).toBe(true);
  });

  it("an install that fails on a drifted lockfile", async () => {
    const { deploy, seen, untouched } = await refused(
      {
        ...goodFiles(),
        "package.json": packageJson({ dependencies: { local: "file:./local" } }),
        "local/package.json": JSON.stringify({ name: "local", version: "1.0.0" }),
        "package-lock.json": JSON.stringify({
          name: "app",
          version: "1.0.0",
          lockfileVersion: 3,
          requires: true,
          packages: { "": { name: "app", version: "1.0.0" } },
        }),
      },
      "install fails",
    );
    expect(deploy).toMatchObject({ status: "failed", error: { step: "install", code: "install_failed" } });
    expect(seen.failures).toEqual([]);
    expect(untouched).toBe(true);
  });

  it("a migration that fails", async () => {
    const { deploy, seen, untouched } = await refused(
      { ...goodFiles(), "migration-fails": "" },
      "migration fails",
    );
    expect(deploy).toMatchObject({ status: "failed", error: { step: "migrate", code: "migrate_failed" } });
    expect(seen.failures).toEqual([]);
    expect(untouched).toBe(true);
  });

  it("dies in the watch window: rolled back, and only what it had in hand is lost", async () => {
    const doom = join(host.dir, "doom");
    const files = appFiles({ kind: "http-close", release: "dies-live", port });
    const dying = `${files["server.js"]}
import { existsSync, rmSync } from "node:fs";
if (process.env.NODE_APP_INSTANCE === "0" && process.env.DROPLESS_PREFLIGHT !== "1")
  setInterval(() => {
    if (!existsSync(${JSON.stringify(doom)})) return;
    rmSync(${JSON.stringify(doom)});
    throw new Error("the cache is full");
  }, 20);
`;
    const load = await startLoad({ port });
    const pushed = await host.push(repo.fullName, repo.commit({ ...files, "server.js": dying }, "dies live"));
    expect(await host.reached(pushed.body.id, "watch")).toBe(true);
    writeFileSync(doom, "");
    const deploy = await host.ended(pushed.body.id);
    const seen = await load.stop();
    repo.reset(good);
    expect(deploy).toMatchObject({ status: "rolled_back", error: { step: "watch", code: "died_in_watch" } });
    expect(deploy.logTail.join("\n")).toContain("the cache is full");
    const processes = await host.pm2.list();
    expect(processes.map((process) => [process.pm2_env.status, process.pm2_env.restart_time])).toEqual([
      ["online", 0],
      ["online", 0],
    ]);
    expect(processes.every((process) => !process.pm2_env.pm_exec_path.includes(deploy.release ?? "?"))).toBe(
      true,
    );
    // Nobody can answer what an instance had in hand when it died of itself: at most one request per client.
    expect(seen.failed).toBeLessThanOrEqual(16);
  });

  it("and a good one after all of them", async () => {
    const load = await startLoad({ port });
    const sha = repo.commit(appFiles({ kind: "http-close", release: "next", port }), "next");
    expect(await host.deploy(repo.fullName, sha)).toMatchObject({
      status: "succeeded",
      receipt: { failed: 0 },
    });
    const seen = await load.stop();
    expect(seen.failures).toEqual([]);
    expect(seen.releases.next).toBeGreaterThan(0);
  });
});
