import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { appFiles } from "../support/apps.js";
import { createHost, type Host } from "../support/host.js";
import { createRepo, type Repo } from "../support/repo.js";
import { freePort } from "../support/temp.js";

const ofTheApp = ["sk_live_0123456789", "pass-word-of-the-db", "cookie-signing-key", "npm_abcdefghij"];
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
      env: {
        FOR_THE_APP: "yes",
        STRIPE_API_KEY: ofTheApp[0],
        DATABASE_URL: `pg://app:${ofTheApp[1]}@db/app`,
      },
      envFile: join(host.dir, "app.env"),
      buildEnv: { NPM_TOKEN: ofTheApp[3] },
      install:
        "env > $HOME/install.env; env; printf npm_abc; sleep 0.1; echo defghij; printf $NPM_TOKEN | base64",
      build: "env > $HOME/build.env",
      migrate: "env > $HOME/migrate.env; env",
      hooks: { beforeRollout: "env > $HOME/hook.env" },
      pm2: { script: "server.js", instances: 2 },
    });
    // Written anew after the daemon has read it for the first time.
    writeFileSync(join(host.dir, "app.env"), "SESSION_SECRET=not-yet-this-one\n");
    await host.start();
    writeFileSync(join(host.dir, "app.env"), `SESSION_SECRET=${ofTheApp[2]}\n`);
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

    // The app's own secrets are for the app and its commands, and for nobody who reads a log or an answer.
    const forTheApp = readFileSync(join(home, "migrate.env"), "utf8");
    for (const secret of ofTheApp.slice(0, 3)) expect(forTheApp).toContain(secret);
    const log = await host.logOf(deploy.id);
    expect(log).toContain("STRIPE_API_KEY=***");
    expect(log).toContain("SESSION_SECRET=***");
    expect(log).toContain("FOR_THE_APP=yes");
    const answers = [log, host.output.join("\n")];
    for (const path of [`/deploys/${deploy.id}`, `/deploys/${deploy.id}/logs`, "/deploys", "/apps"])
      answers.push(JSON.stringify(await host.call("GET", path)));
    for (const file of below(join(host.dir, "data", "logs"))) answers.push(readFileSync(file, "latin1"));
    const base64 = Buffer.from(ofTheApp[3] as string)
      .toString("base64")
      .slice(0, 18);
    for (const text of answers)
      for (const secret of [...ofTheApp, base64]) expect(text.includes(secret), secret).toBe(false);
  });
});
