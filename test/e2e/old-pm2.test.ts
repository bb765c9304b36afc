import { execFile } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { appFiles, writeApp } from "../support/apps.js";
import { createHost, type Host } from "../support/host.js";
import { startLoad } from "../support/load.js";
import { createPrivatePm2, type PrivatePm2 } from "../support/pm2.js";
import { createRepo } from "../support/repo.js";
import { freePort, makeTempDir, removeTempDir } from "../support/temp.js";

const npm = promisify(execFile);

describe.each(["5.4.3", "6.0.14"])("a God daemon of PM2 %s", (version) => {
  let dir: string;
  let pm2: PrivatePm2;
  let host: Host;

  beforeAll(async () => {
    dir = makeTempDir("old-pm2");
    await npm(
      "npm",
      ["install", "--prefix", dir, "--no-audit", "--no-fund", "--omit=optional", `pm2@${version}`],
      {
        cwd: dir,
      },
    );
    pm2 = createPrivatePm2({ pm2: join(dir, "node_modules", "pm2") });
    host = await createHost({ pm2 });
  });
  afterAll(async () => {
    await host?.end();
    await pm2?.end();
    if (dir) removeTempDir(dir);
  });

  it("is used as it is: an app started by hand is adopted, then deployed under load", async () => {
    const port = await freePort();
    const byHand = join(dir, "by-hand");
    mkdirSync(byHand);
    writeApp(byHand, { kind: "http-close", release: "hand", port });
    await pm2.run(["start", "server.js", "--name", "api", "-i", "2"], { cwd: byHand });
    const god = pm2.godPid();
    expect(god).toBeGreaterThan(0);
    const repo = createRepo(host.dir, "api");
    host.addApp("api", { repository: repo.url, port, pm2: { script: "server.js", instances: 2 } });
    await host.start();

    const first = await host.deploy(
      repo.fullName,
      repo.commit(appFiles({ kind: "http-close", release: "one", port }), "one"),
    );
    expect(first, await host.logOf(first.id)).toMatchObject({ status: "succeeded" });
    const load = await startLoad({ port });
    const second = await host.deploy(
      repo.fullName,
      repo.commit(appFiles({ kind: "http-close", release: "two", port }), "two"),
    );
    const seen = await load.stop();
    expect(second, await host.logOf(second.id)).toMatchObject({
      status: "succeeded",
      receipt: { failed: 0 },
    });
    expect(seen.failures).toEqual([]);
    const running = await pm2.list();
    expect(running.map(({ pm2_env }) => pm2_env.status)).toEqual(["online", "online"]);
    expect(running.map(({ pm2_env }) => Number(pm2_env.NODE_APP_INSTANCE)).sort()).toEqual([0, 1]);
    expect(pm2.godPid()).toBe(god);
  });
});
