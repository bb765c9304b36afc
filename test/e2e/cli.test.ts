import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { appFiles } from "../support/apps.js";
import { createHost, type DeployAnswer, type Host } from "../support/host.js";
import { createRepo, type Repo } from "../support/repo.js";
import { freePort } from "../support/temp.js";
import { canTest } from "../support/tools.js";

const project = join(import.meta.dirname, "../..");

interface Run {
  child: ChildProcess;
  /** What it printed so far, both streams. */
  output(): string;
  /** Resolves when it has printed this. */
  printed(text: string): Promise<void>;
  ended: Promise<{ code: number | null; out: string; err: string }>;
}

describe("the command line, on a real server", () => {
  let host: Host;
  let repo: Repo;
  let port: number;
  /** A build waits until this file is there, when a commit asks for it. */
  let gate: string;
  let hooks: DeployAnswer;

  function start(command: string, args: string[], env: Record<string, string> = {}): Run {
    const child = spawn(command, args, {
      cwd: host.dir,
      env: { ...host.env, NO_COLOR: "1", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let out = "";
    let err = "";
    const waiting = new Set<() => void>();
    const listen = (add: (text: string) => void) => (chunk: Buffer) => {
      add(String(chunk));
      for (const look of waiting) look();
    };
    child.stdout.on(
      "data",
      listen((text) => (out += text)),
    );
    child.stderr.on(
      "data",
      listen((text) => (err += text)),
    );
    const ended = new Promise<{ code: number | null; out: string; err: string }>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code) => resolve({ code, out, err }));
    });
    const printed = (text: string) =>
      new Promise<void>((resolve, reject) => {
        const look = () => {
          if (!(out + err).includes(text)) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        void ended.then(() => reject(new Error(`it ended before it printed "${text}":\n${out}${err}`)));
        look();
      });
    return { child, output: () => out + err, printed, ended };
  }
  const dropless = (...args: string[]) =>
    start(process.execPath, [join(project, "dist/cli.js"), ...args]).ended;
  const following = (...args: string[]) => start(process.execPath, [join(project, "dist/cli.js"), ...args]);
  const page = async () => (await fetch(`http://127.0.0.1:${port}/`)).text();
  const commit = (release: string, more: Record<string, string> = {}) =>
    repo.commit({ ...appFiles({ kind: "http-close", release, port }), ...more }, release);

  beforeAll(async () => {
    host = await createHost({ env: { DROPLESS_STOP_GRACE_MS: "300" } });
    port = await freePort();
    gate = join(host.dir, "gate");
    repo = createRepo(host.dir, "api");
    host.addApp("api", {
      repository: repo.url,
      port,
      build: `test ! -e wait.txt || { echo the build waits; until test -e ${gate}; do sleep 0.1; done; }`,
      pm2: { script: "server.js", instances: 2 },
    });
    host.writeConfig();
  });
  afterAll(() => host?.end());

  it("deploy.sh deploys without a daemon, and webhook and deploy.sh run the same steps", async () => {
    commit("one");
    const { code, out, err } = await start("sh", [join(project, "deploy.sh"), "api"]).ended;
    expect(out + err).toContain("✔ api is live");
    expect(code).toBe(0);
    expect(await page()).toContain("ok one ");

    await host.start();
    hooks = await host.deploy(repo.fullName, commit("two"));
    expect(hooks.status).toBe("succeeded");
    const { body } = await host.call<{ deploys: DeployAnswer[] }>("GET", "/deploys");
    const [latest, byHand] = body.deploys;
    expect(latest?.id).toBe(hooks.id);
    const steps = (deploy?: DeployAnswer) => deploy?.steps.map(({ name, status }) => `${name} ${status}`);
    expect(steps(byHand)).toEqual(steps(hooks));
    expect(byHand?.trigger).toBe("manual");
  });

  it("deploy.sh asks the daemon when one answers; a ref may be named", async () => {
    const tip = repo.head();
    const { code, out } = await start("sh", [join(project, "deploy.sh"), "api", tip, "--json"]).ended;
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      app: "api",
      status: "succeeded",
      commit: { sha: tip },
      trigger: "manual",
    });
  });

  it("shows what is live, what was deployed, and a deploy's log", async () => {
    const status = await dropless("status");
    expect(status).toMatchObject({ code: 0, err: "" });
    expect(status.out).toMatch(/^api {2}live \d{8}T\d{6}-[0-9a-f]{7}/);
    expect(status.out.match(/ online /g)).toHaveLength(2);

    const one = await dropless("status", hooks.id);
    expect(one.out).toMatch(/✔ rollout[\s\S]*✔ api is live[\s\S]*probed, 0 failed/);

    const app = await dropless("status", "api");
    expect(app.out.startsWith(status.out.split(/ {2}(?:for |just now)/)[0] ?? "-")).toBe(true);
    expect(app.out).toMatch(/ online [\s\S]*\n\napi {2}succeeded {2}\w{26}[\s\S]*✔ rollout/);
    expect(JSON.parse((await dropless("status", "api", "--json")).out)).toMatchObject({
      app: { name: "api" },
      deploy: { app: "api", status: "succeeded" },
    });

    const list = await dropless("list", "-n", "2");
    expect(list.out.split("\n").filter((line) => line.includes(" api "))).toHaveLength(2);
    expect(list.out).toMatch(/dropless list --before \w{26} -n 2\n/);
    const typo = await dropless("list", "--app", "ai");
    expect([typo.code, typo.err]).toEqual([2, expect.stringContaining("Configured are: api")]);

    const log = await dropless("logs", hooks.id);
    expect(log.out).toBe(await host.logOf(hooks.id));
    const events = (await dropless("logs", hooks.id, "--json")).out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(events.at(-1)).toMatchObject({ event: "end", data: { id: hooks.id, status: "succeeded" } });
    expect((await dropless("logs", "api", "--json")).code).toBe(0);
  });

  it("a held app refuses, and says until when and why", async () => {
    expect((await dropless("hold", "api", "-m", "The shop is open today")).code).toBe(0);
    const refused = await dropless("deploy", "api");
    expect(refused.err).toMatch(/The shop is open today[\s\S]*\[held\]\n {2}→ /);
    expect(refused.code).toBe(1);
    expect((await dropless("status")).out).toContain("on hold: The shop is open today");
    expect((await dropless("resume", "api")).code).toBe(0);
  });

  it("rolls back to the release before, and follows it", async () => {
    const { code, out } = await dropless("rollback", "api");
    expect(out).toContain("--> rollout");
    expect(out).not.toContain("--> install");
    expect(code).toBe(0);
    expect((await dropless("rollback", "api", "20200101T000000-abcdef0")).code).toBe(2);
  });

  it("a broken commit: what happened, what to do, the code, exit code 1, and no stack of ours", async () => {
    commit("broken", { "server.js": "throw new Error('no such table: users');\n" });
    const { code, out, err } = await dropless("deploy", "api");
    expect(out).toMatch(
      /✘ api was not deployed at preflight — users saw nothing of it\n.*no such table.* \[\w+\]\n {2}→ /,
    );
    expect(out).not.toMatch(/dist\/(cli|daemon|http)/);
    expect(err).toBe("");
    expect(code).toBe(1);
  });

  it("what does not exist is exit code 2", async () => {
    for (const args of [
      ["status", "00000000000000000000000000"],
      ["status", "nothing"],
      ["deploy", "nothing"],
      ["logs", "nothing"],
      ["cancel", "x"],
    ])
      expect(await dropless(...args)).toMatchObject({
        code: 2,
        out: "",
        err: expect.stringMatching(/^✘ .*\[\w+\]\n {2}→ /),
      });
  });

  it("follows across a restart of the daemon; Ctrl-C only stops following", async () => {
    commit("three", { "wait.txt": "wait" });
    const deploy = following("deploy", "api");
    await deploy.printed("the build waits");
    const reader = following("logs", "api", "-f");
    await reader.printed("the build waits");
    reader.child.kill("SIGINT");
    expect(await reader.ended).toMatchObject({
      code: 1,
      err: expect.stringContaining("The deploy goes on without you"),
    });

    await host.stop();
    await deploy.printed("the daemon does not answer");
    await host.start();
    writeFileSync(gate, "");
    const { code, out } = await deploy.ended;
    rmSync(gate);
    expect(out).toContain("the daemon answers again");
    expect(out).toContain("✔ api is live");
    expect(code).toBe(0);
    expect(out.match(/--> fetch\n/g)).toHaveLength(1);
    expect(await page()).toContain("ok three ");
  });

  it("cancel ends the deploy that somebody follows, with exit code 1", async () => {
    commit("four", { "wait.txt": "wait" });
    const deploy = following("deploy", "api");
    await deploy.printed("the build waits");
    const { out } = await dropless("list", "--status", "running", "--json");
    const [running] = (JSON.parse(out) as { deploys: DeployAnswer[] }).deploys;
    expect((await dropless("cancel", running?.id ?? "")).code).toBe(0);
    expect(await deploy.ended).toMatchObject({ code: 1, out: expect.stringContaining("✘ api was canceled") });
    expect(await page()).toContain("ok three ");
  });

  it("the doctor finds no fault in what runs, and sees what PM2 does not", async () => {
    const { code, out } = await dropless("check", "--json");
    const { findings } = JSON.parse(out) as {
      findings: { level: string; subject: string; message: string }[];
    };
    expect(findings.filter(({ level }) => level === "fault")).toEqual([]);
    expect(code).toBe(0);
    const about = (subject: string) =>
      findings.filter((one) => one.subject === subject).map(({ message }) => message);
    expect(about("api")).toContain("2 instances online");
    expect(about("api").join("\n")).toMatch(/healthy: \/ on port \d+ answers 200/);
    expect(about("daemon").join("\n")).toMatch(/dropless .* answers at/);
    expect(about("PM2").join("\n")).toMatch(/^PM2 7\.0\.\d+ runs in/);
  });

  it.each(canTest("curl") && canTest("openssl") ? ["trigger-deploy.sh"] : [])(
    "%s deploys by a signed request",
    async (name) => {
      const sha = commit("five", { "wait.txt": "wait" });
      writeFileSync(gate, "");
      const { code, out, err } = await start("sh", [join(project, "scripts", name)], {
        DROPLESS_URL: host.url,
        DROPLESS_SECRET: host.secret,
        GITHUB_REPOSITORY: repo.fullName,
        GITHUB_REF: "refs/heads/main",
        GITHUB_SHA: sha,
      }).ended;
      expect(err).toBe("");
      expect(out).toContain("the build waits\n");
      expect(out).toContain(`✔ api is live: ${sha.slice(0, 7)}`);
      expect(code).toBe(0);
    },
  );

  it("PM2 starts dropless itself from ecosystem.config.js, as it is in a clone", async () => {
    await host.stop();
    const clone = join(host.dir, "clone");
    mkdirSync(clone);
    for (const name of ["package.json", "ecosystem.config.js", "dist"])
      cpSync(join(project, name), join(clone, name), { recursive: true });
    symlinkSync(join(project, "node_modules"), join(clone, "node_modules"));
    const own = await freePort();
    // Of the places where it looks, the one beside the file.
    const app = { repository: repo.url, root: join(host.dir, "other"), pm2: { script: "server.js" } };
    const config = { server: { port: own }, pm2Home: host.pm2.home, apps: { other: app } };
    writeFileSync(join(clone, "dropless.yaml"), stringify(config));
    await host.pm2.cli("start", join(clone, "ecosystem.config.js"));
    const answers = () =>
      fetch(`http://127.0.0.1:${own}/readyz`).then(
        (response) => response.status,
        () => 0,
      );
    await expect.poll(answers, { timeout: 60_000 }).toBe(200);
    const [daemon] = (await host.pm2.list()).filter(({ name }) => name === "dropless");
    expect(daemon?.pm2_env).toMatchObject({ status: "online", restart_time: 0, treekill: false });
    await host.pm2.cli("delete", "dropless");
    await expect.poll(answers, { timeout: 60_000 }).toBe(0);
  });
});
