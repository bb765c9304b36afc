import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stepNames } from "../../src/domain/step.js";
import { appFiles, linkModules } from "../support/apps.js";
import { createHost, type Host } from "../support/host.js";
import { startLoad } from "../support/load.js";
import { exampleConfig, type Nginx, startNginx } from "../support/nginx.js";
import { repositoryRoot } from "../support/pages.js";
import { createRepo, type Repo } from "../support/repo.js";
import { runAction } from "../support/runner.js";
import { freePort } from "../support/temp.js";
import { canTest } from "../support/tools.js";

/** The README's set-up as a whole: the example nginx in front of app and daemon, deploys by the GitHub Action. */
describe.runIf(canTest("nginx") && canTest("bash") && canTest("curl") && canTest("openssl"))(
  "app and daemon behind one nginx, deployed by the GitHub Action",
  () => {
    let host: Host;
    let nginx: Nginx | undefined;
    let repo: Repo;
    let base = "";
    let port = 0;

    beforeAll(async () => {
      host = await createHost();
      port = await freePort();
      repo = createRepo(host.dir, "api");
      // The handler that every tutorial recommends: with `pm2 reload` it loses POSTs behind nginx.
      repo.commit(appFiles({ kind: "http-close", release: "one", port }), "the first");
      linkModules(
        host.addApp("api", { repository: repo.url, port, pm2: { script: "server.js", instances: 2 } }),
      );
      nginx = await startNginx(join(host.dir, "nginx"), (listen) =>
        exampleConfig({ listen, app: port, daemon: host.port }),
      );
      base = `http://127.0.0.1:${nginx.port}`;
      host.server.publicUrl = `${base}/_dropless`;
      host.server.trustProxy = ["127.0.0.1"];
      await host.start();
    });
    afterAll(async () => {
      await nginx?.stop();
      await host?.end();
    });

    const deploy = (run: string, secret = host.secret) =>
      runAction(
        join(repositoryRoot, "scripts/github-action/action.yml"),
        join(host.dir, "runner"),
        { url: `${base}/_dropless`, secret },
        {
          GITHUB_REPOSITORY: repo.fullName,
          GITHUB_REF: "refs/heads/main",
          GITHUB_SHA: repo.head(),
          GITHUB_RUN_ID: run,
          GITHUB_RUN_ATTEMPT: "1",
        },
      );

    it("makes the first deploy, and shows it in the job's log step by step", async () => {
      const job = await deploy("1");
      expect(job, job.raw).toMatchObject({ code: 0, errors: [], outputs: { status: "succeeded" } });
      expect(Object.keys(job.groups)).toEqual([...stepNames]);
      expect(job.groups.rollout?.join("\n")).toContain("starting instance");
      expect(job.outputs.url).toMatch(`${base}/_dropless/deploys/`);
      expect(job.masks).toHaveLength(1);
      expect(await (await fetch(base)).text()).toMatch(/^ok one /);
    });

    it("makes the next one under load through nginx, and drops nothing", async () => {
      repo.commit(appFiles({ kind: "http-close", release: "two", port }), "the second");
      const load = await startLoad({ url: base });
      const job = await deploy("2");
      const seen = await load.stop();
      expect(job, job.raw).toMatchObject({ code: 0, outputs: { status: "succeeded", failed: "0" } });
      expect(seen.failures).toEqual([]);
      expect(Object.keys(seen.releases).sort()).toEqual(["one", "two"]);
      expect(job.summary).toContain(`| ${repo.head().slice(0, 7)} | ${job.outputs.release} |`);
    });

    it("fails the job when the release is bad, while the old one goes on serving", async () => {
      repo.commit({ "server.js": "throw new Error('no configuration')" }, "a bad one");
      const job = await deploy("3");
      expect(job.code).toBe(1);
      expect(job.outputs.status).toBe("failed");
      expect(job.errors.join()).toContain("no configuration");
      expect(await (await fetch(base)).text()).toMatch(/^ok two /);
    });

    it("says what to do when the secret is a wrong one", async () => {
      const job = await deploy("4", "another secret, long enough");
      expect(job.code).not.toBe(0);
      expect(job.raw).toContain("The secret here and the sender's differ");
    });
  },
);
