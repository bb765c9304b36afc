/**
 * A server of its own for a benchmark: the built daemon, a private PM2, git repositories, ports of its own; a signed
 * push goes in, the ended deploy comes out. `end()` leaves nothing behind.
 */
import { execFileSync, spawn } from "node:child_process";
import { createHash, createHmac, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { linkModules } from "./apps.js";
import { endOnInterrupt } from "./interrupt.js";
import { createPrivatePm2 } from "./pm2.js";

const main = fileURLToPath(new URL("../../../dist/main.js", import.meta.url));

export const freePort = async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
};

function createRepo(dir, name) {
  const url = join(dir, "origin", "acme", `${name}.git`);
  const work = join(dir, "work", name);
  const home = join(dir, "git-home");
  for (const path of [url, work, home]) mkdirSync(path, { recursive: true });
  const person = { NAME: "Ada Example", EMAIL: "ada@example.com" };
  const env = {
    PATH: process.env.PATH,
    HOME: home,
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
  };
  for (const role of ["AUTHOR", "COMMITTER"])
    for (const [key, value] of Object.entries(person)) env[`GIT_${role}_${key}`] = value;
  const git = (...args) =>
    execFileSync("git", args, { cwd: work, env, encoding: "utf8", stdio: "pipe" }).trim();
  execFileSync("git", ["init", "-q", "--bare", "-b", "main", url], { env });
  git("init", "-q", "-b", "main");
  git("remote", "add", "origin", url);
  return {
    url,
    fullName: `acme/${name}`,
    /** Exactly these files, as a commit on main, pushed. */
    commit(files, message) {
      git("rm", "-rfq", "--ignore-unmatch", ".");
      mkdirSync(work, { recursive: true });
      for (const [path, text] of Object.entries(files)) {
        mkdirSync(join(work, path, ".."), { recursive: true });
        writeFileSync(join(work, path), text);
      }
      git("add", "-A");
      git("commit", "-q", "--allow-empty", "-m", message);
      git("push", "-q", "origin", "HEAD");
      return git("rev-parse", "HEAD");
    },
  };
}

/** `env`: more for the daemon's environment; PATH replaces its own. */
export async function createHost({ env = {} } = {}) {
  const dir = mkdtempSync(join(tmpdir(), "dropless-bench-"));
  const pm2 = createPrivatePm2();
  const secret = randomBytes(20).toString("hex");
  const token = randomBytes(20).toString("hex");
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const apps = {};
  const output = [];
  let daemon;

  const get = async (path) =>
    (await fetch(url + path, { headers: { authorization: `Bearer ${token}` } })).json();

  const ended = async (id, limitMs) => {
    const until = Date.now() + limitMs;
    while (Date.now() < until) {
      const deploy = await get(`/deploys/${id}`);
      if (!["queued", "running"].includes(deploy.status)) return deploy;
      await sleep(200);
    }
    throw new Error(`deploy ${id} did not end within ${limitMs} ms\n${output.slice(-20).join("\n")}`);
  };

  const end = async () => {
    forget();
    if (daemon && daemon.exitCode === null && daemon.signalCode === null) {
      const gone = once(daemon, "exit");
      daemon.kill("SIGKILL");
      await gone;
    }
    await pm2.end();
    rmSync(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  };
  const forget = endOnInterrupt(end);

  return {
    dir,
    pm2,
    get,
    /**
     * An app of two instances, of the repository of its name unless another's `repo` is given. Its Express, Fastify
     * and Hono are this project's, but for those that install their own. Before `start`.
     */
    async addApp(name, block = {}, { repo = createRepo(dir, name), installs = false } = {}) {
      const root = join(dir, "apps", name);
      mkdirSync(root, { recursive: true });
      if (!installs) linkModules(root);
      const appPort = block.port ?? (await freePort());
      apps[name] = {
        repository: repo.url,
        root,
        secrets: ["env:DEPLOY_SECRET"],
        port: appPort,
        pm2: { script: "server.js", instances: 2 },
        ...block,
      };
      return { repo, port: appPort };
    },
    /** An app that is configured and no more. */
    configure(name, block) {
      apps[name] = { secrets: ["env:DEPLOY_SECRET"], pm2: { script: "server.js" }, ...block };
    },
    pid: () => daemon.pid,
    async stop() {
      const gone = once(daemon, "exit");
      daemon.kill("SIGTERM");
      await gone;
    },
    async start() {
      const sha256 = createHash("sha256").update(token).digest("hex");
      const config = {
        dataDir: join(dir, "data"),
        server: { port },
        pm2Home: pm2.home,
        tokens: [{ name: "bench", scope: "admin", sha256 }],
        apps,
      };
      const file = join(dir, "dropless.yaml");
      writeFileSync(file, stringify(config));
      daemon = spawn(process.execPath, [main], {
        cwd: dir,
        env: { ...pm2.env, DROPLESS_CONFIG: file, DEPLOY_SECRET: secret, ...env },
        stdio: ["ignore", "pipe", "pipe"],
      });
      daemon.stderr.on("data", (text) => output.push(String(text)));
      await new Promise((resolve, reject) => {
        createInterface({ input: daemon.stdout }).on("line", (line) => {
          output.push(line);
          if (line.includes('"msg":"ready"')) resolve();
        });
        daemon.once("exit", (code) =>
          reject(new Error(`the daemon ended with ${code}\n${output.join("\n")}`)),
        );
      });
    },
    /** A signed push of that commit, followed to the end of its deploy. */
    async deploy(fullName, sha, limitMs = 180_000) {
      const body = JSON.stringify({
        ref: "refs/heads/main",
        before: "0".repeat(40),
        after: sha,
        deleted: false,
        repository: { full_name: fullName },
        head_commit: { id: sha, message: "a change", author: { name: "Ada" } },
      });
      const answer = await fetch(`${url}/webhooks/deploy`, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          "x-github-event": "push",
          "x-github-delivery": randomBytes(12).toString("hex"),
          "x-hub-signature-256": `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`,
        },
        body,
      });
      const accepted = await answer.json();
      if (answer.status !== 202) throw new Error(`push: ${answer.status} ${JSON.stringify(accepted)}`);
      return ended(accepted.id, limitMs);
    },
    /** What a person asks for, a deploy or a rollback, followed to its end. */
    async ask(path, body = {}, limitMs = 180_000) {
      const answer = await fetch(url + path, {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        body: JSON.stringify(body),
      });
      const accepted = await answer.json();
      if (answer.status !== 202) throw new Error(`${path}: ${answer.status} ${JSON.stringify(accepted)}`);
      return ended(accepted.id, limitMs);
    },
    /** PM2's notes of instances that outlived their kill_timeout. */
    killed: () =>
      readFileSync(join(pm2.home, "pm2.log"), "utf8")
        .split("\n")
        .filter((line) => /still alive after .* sending SIGKILL/.test(line)),
    end,
  };
}
