import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { appFiles } from "../support/apps.js";
import { createHost, type Host } from "../support/host.js";
import { startLoad } from "../support/load.js";
import { createRepo, type Repo } from "../support/repo.js";
import { freePort } from "../support/temp.js";

describe("what people do by hand between two deploys", () => {
  let host: Host;
  let repo: Repo;
  let port: number;

  beforeAll(async () => {
    host = await createHost();
    port = await freePort();
    repo = createRepo(host.dir, "api");
    host.addApp("api", { repository: repo.url, port, pm2: { script: "server.js", instances: 2 } });
    await host.start();
    const sha = repo.commit(appFiles({ kind: "http-close", release: "one", port }), "one");
    expect(await host.deploy(repo.fullName, sha)).toMatchObject({ status: "succeeded" });
  });
  afterAll(() => host?.end());

  const page = async () => (await fetch(`http://127.0.0.1:${port}/`)).text();
  const numbers = async () =>
    (await host.pm2.list()).map((process) => Number(process.pm2_env.NODE_APP_INSTANCE)).sort();

  it("`pm2 reload` is drained, because the release carries the preload", async () => {
    const load = await startLoad({ port });
    await host.pm2.cli("reload", "api");
    const seen = await load.stop();
    expect(seen.failures).toEqual([]);
    expect(seen.releases).toEqual({ one: seen.total });
  });

  it("`pm2 kill` and `pm2 resurrect`: the live release serves again, drained as before", async () => {
    await host.pm2.cli("kill");
    await expect(page()).rejects.toThrow();
    await host.pm2.cli("resurrect");
    await expect.poll(page, { timeout: 60_000 }).toContain("ok one ");
    await expect.poll(numbers, { timeout: 60_000 }).toEqual([0, 1]);
    const load = await startLoad({ port });
    await host.pm2.cli("reload", "api");
    const seen = await load.stop();
    expect(seen.failures).toEqual([]);
  });

  it("after `pm2 scale` and `pm2 stop` the next deploy runs the wanted instances again", async () => {
    await host.pm2.cli("scale", "api", "3");
    const sha = repo.commit(appFiles({ kind: "http-close", release: "two", port }), "two");
    expect(await host.deploy(repo.fullName, sha)).toMatchObject({ status: "succeeded" });
    expect(await numbers()).toEqual([0, 1]);
    await host.pm2.cli("stop", "api");
    const next = repo.commit(appFiles({ kind: "http-close", release: "three", port }), "three");
    expect(await host.deploy(repo.fullName, next)).toMatchObject({ status: "succeeded" });
    expect(await numbers()).toEqual([0, 1]);
    expect(await page()).toContain("ok three ");
  });
});
