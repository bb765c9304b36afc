import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { appFiles } from "../support/apps.js";
import { createHost, type Host } from "../support/host.js";
import { createRepo, type Repo } from "../support/repo.js";
import { freePort } from "../support/temp.js";

const inAWord = "a-secret-of-the-daemon-0123456789";

describe("promise 6: secrets stay in", () => {
  let host: Host;
  let repo: Repo;
  let port: number;

  beforeAll(async () => {
    host = await createHost({ env: { DROPLESS_OTHER: inAWord } });
    port = await freePort();
    repo = createRepo(host.dir, "api");
    host.addApp("api", {
      repository: repo.url,
      port,
      secrets: ["env:DEPLOY_SECRET", "env:DROPLESS_OTHER"],
      env: { FOR_THE_APP: "yes" },
      install: "env > $HOME/install.env",
      build: "env > $HOME/build.env",
      migrate: "env > $HOME/migrate.env",
      hooks: { beforeRollout: "env > $HOME/hook.env" },
      pm2: { script: "server.js", instances: 2 },
    });
    await host.start();
  });
  afterAll(() => host?.end());

  it("in no app, no build, no file, no log and no answer", async () => {
    const files = appFiles({ kind: "http", release: "one", port });
    const sha = repo.commit({
      ...files,
      // An app that prints and answers all it knows.
      "server.js": `${files["server.js"]}\nconsole.log(JSON.stringify(process.env));\n`,
    });
    const deploy = await host.deploy(repo.fullName, sha);
    expect(deploy.status).toBe("succeeded");
    const secrets = [host.secret, inAWord];
    const clean = (text: string, where: string) => {
      for (const secret of secrets) expect(text.includes(secret), where).toBe(false);
    };

    const running = await host.pm2.list();
    expect(running).toHaveLength(2);
    for (const { pid } of running) {
      const environ = host.environOf(pid);
      clean(environ, `environ of ${pid}`);
    }
    expect(running.every((process) => process.pm2_env.env.FOR_THE_APP === "yes")).toBe(true);
    clean(JSON.stringify(running), "pm2 jlist");
    for (const pid of host.pm2.pids()) clean(host.environOf(pid), `environ of ${pid}, below PM2`);

    const home = host.env.HOME as string;
    const written = readdirSync(home).filter((name) => name.endsWith(".env"));
    expect(written.sort()).toEqual(["build.env", "hook.env", "install.env", "migrate.env"]);
    for (const name of written) clean(readFileSync(join(home, name), "utf8"), name);

    const below = (dir: string): string[] =>
      readdirSync(dir).flatMap((name) => {
        const path = join(dir, name);
        return statSync(path).isDirectory() ? below(path) : [path];
      });
    for (const file of below(join(host.dir, "data"))) clean(readFileSync(file, "latin1"), file);
    for (const file of below(host.pm2.home).filter((file) => /\.(log|pm2)$/.test(file)))
      clean(readFileSync(file, "latin1"), file);

    for (const path of [
      `/deploys/${deploy.id}`,
      `/deploys/${deploy.id}/logs`,
      "/deploys",
      "/apps",
      "/apps/api",
    ])
      clean(JSON.stringify(await host.call("GET", path)), path);
    clean(host.output.join("\n"), "the daemon's own log");
  });
});
