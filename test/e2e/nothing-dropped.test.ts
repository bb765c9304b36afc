import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { appFiles, goodKinds, linkModules } from "../support/apps.js";
import { createHost, type Host } from "../support/host.js";
import { startLoad } from "../support/load.js";
import { createRepo, type Repo } from "../support/repo.js";
import { freePort } from "../support/temp.js";

/** Ten deploys of each kind, nginx and `pm2 reload` beside them: scripts/bench/rolls.js. */
describe("promise 1: nothing dropped", () => {
  let host: Host;
  const ports = new Map<string, number>();
  const repos = new Map<string, Repo>();

  beforeAll(async () => {
    host = await createHost();
    for (const kind of goodKinds) {
      const port = await freePort();
      const repo = createRepo(host.dir, kind);
      repo.commit(appFiles({ kind, release: "one", port }), "the first");
      const root = host.addApp(kind, {
        repository: repo.url,
        port,
        pm2: { script: "server.js", instances: 2 },
      });
      linkModules(root);
      ports.set(kind, port);
      repos.set(kind, repo);
    }
    await host.start();
  });
  afterAll(() => host?.end());

  it.each(goodKinds)("%s: a first deploy, then one under load", async (kind) => {
    const repo = repos.get(kind) as Repo;
    const port = ports.get(kind) as number;
    const first = await host.deploy(repo.fullName, repo.head());
    expect(first, await host.logOf(first.id)).toMatchObject({ status: "succeeded" });

    const load = await startLoad({ port });
    const second = await host.deploy(
      repo.fullName,
      repo.commit(appFiles({ kind, release: "two", port }), "the second"),
    );
    const seen = await load.stop();
    expect(second, await host.logOf(second.id)).toMatchObject({
      status: "succeeded",
      receipt: { failed: 0 },
    });
    expect(second.receipt?.probes).toBeGreaterThan(0);
    expect(seen.failures).toEqual([]);
    expect(Object.keys(seen.releases).sort()).toEqual(["one", "two"]);
    const running = (await host.pm2.list()).filter((process) => process.name === kind);
    expect(running.map((process) => process.pm2_env.status)).toEqual(["online", "online"]);
    expect(running.every((process) => process.pm2_env.pm_exec_path.includes(second.release ?? "?"))).toBe(
      true,
    );
    // PM2 counts instances with a reset of its own: the app's numbers must be those it expects.
    expect(running.map((process) => Number(process.pm2_env.NODE_APP_INSTANCE)).sort()).toEqual([0, 1]);
  });

  it("promise 8: a rollback under load, nothing installed, nothing built, nothing dropped", async () => {
    const kind = "http-close";
    const load = await startLoad({ port: ports.get(kind) as number });
    const asked = await host.call<{ id: string }>("POST", `/apps/${kind}/rollback`, {});
    expect(asked.status).toBe(202);
    const deploy = await host.ended(asked.body.id);
    const seen = await load.stop();
    expect(deploy).toMatchObject({ status: "succeeded", trigger: "rollback", receipt: { failed: 0 } });
    const steps = Object.fromEntries(deploy.steps.map((step) => [step.name, step.status]));
    expect(steps).toMatchObject({ install: "skipped", build: "skipped", rollout: "succeeded" });
    expect(seen.failures).toEqual([]);
    expect(Object.keys(seen.releases).sort()).toEqual(["one", "two"]);
  });
});
