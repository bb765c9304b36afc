/**
 * The demo's world: a temporary folder with a git repository, an app, a configuration, a daemon and a PM2 of
 * its own. Nothing outside of it is touched, and nothing of it is left.
 */
import { execFileSync, spawn } from "node:child_process";
import { createHmac, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const project = fileURLToPath(new URL("../..", import.meta.url));

const freePort = () =>
  new Promise((done, fail) => {
    const server = createServer();
    server.once("error", fail);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });

export async function createWorld() {
  const dir = mkdtempSync(join(tmpdir(), "dropless-demo-"));
  const work = join(dir, "work");
  const origin = join(dir, "origin", "acme", "demo.git");
  const pm2Home = join(dir, "pm2");
  const port = await freePort();
  const appPort = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const secret = randomBytes(32).toString("hex");
  let daemon;

  // Of the surroundings only what programs need to be found; the identity is the demo's own.
  const env = {
    PATH: process.env.PATH,
    HOME: dir,
    LANG: process.env.LANG ?? "C.UTF-8",
    PM2_HOME: pm2Home,
    // Whoever ends the demo does not want to wait for its deploy.
    DROPLESS_STOP_GRACE_MS: "500",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_AUTHOR_NAME: "Ada",
    GIT_AUTHOR_EMAIL: "ada@example.com",
    GIT_COMMITTER_NAME: "Ada",
    GIT_COMMITTER_EMAIL: "ada@example.com",
    npm_config_update_notifier: "false",
  };
  const git = (...args) =>
    execFileSync("git", args, { cwd: work, env, encoding: "utf8", stdio: "pipe" }).trim();

  for (const path of [work, origin, pm2Home]) mkdirSync(path, { recursive: true });
  execFileSync("git", ["init", "-q", "--bare", "-b", "main", origin], { env, stdio: "pipe" });
  git("init", "-q", "-b", "main");
  git("remote", "add", "origin", origin);
  writeFileSync(join(dir, "secret"), secret, { mode: 0o600 });
  writeFileSync(
    join(dir, "dropless.yaml"),
    `dataDir: ${join(dir, "data")}
server: { port: ${port} }
pm2Home: ${pm2Home}
apps:
  demo:
    repository: ${origin}
    root: ${join(dir, "srv")}
    secrets: ["file:${join(dir, "secret")}"]
    pm2: { script: server.js, instances: 2 }
    port: ${appPort}
    health: { path: /healthz, soak: 1s, watch: 2s }
`,
  );

  /** A push as GitHub delivers it; gives the deploy's id. */
  async function push(sha, message) {
    const body = JSON.stringify({
      ref: "refs/heads/main",
      after: sha,
      deleted: false,
      repository: { full_name: "acme/demo" },
      head_commit: { id: sha, message, author: { name: "Ada" } },
    });
    const response = await fetch(`${url}/webhooks/deploy`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "x-github-event": "push",
        "x-github-delivery": randomBytes(16).toString("hex"),
        "x-hub-signature-256": `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`,
      },
      body,
    });
    const answer = await response.json();
    if (response.status !== 202)
      throw new Error(`the webhook was answered ${response.status}: ${JSON.stringify(answer)}`);
    return answer.id;
  }

  const output = [];
  async function startDaemon() {
    daemon = spawn(
      process.execPath,
      [join(project, "dist/cli.js"), "serve", "--config", join(dir, "dropless.yaml")],
      {
        cwd: dir,
        env,
        stdio: ["ignore", "pipe", "pipe"],
        // Ctrl-C is for the demo, which ends the daemon itself.
        detached: true,
      },
    );
    daemon.stderr.on("data", (chunk) => output.push(String(chunk)));
    createInterface({ input: daemon.stdout }).on("line", (line) => output.push(line));
    const ended = once(daemon, "exit").then(([code]) => {
      throw new Error(`the daemon ended with ${code}:\n${output.slice(-10).join("\n")}`);
    });
    ended.catch(() => {});
    const answers = (async () => {
      for (;;) {
        const response = await fetch(`${url}/readyz`).catch(() => undefined);
        if (response?.ok) return;
        await new Promise((done) => setTimeout(done, 50));
      }
    })();
    await Promise.race([answers, ended]);
  }

  async function endDaemon() {
    if (!daemon || daemon.exitCode !== null || daemon.signalCode !== null) return;
    const gone = once(daemon, "exit");
    daemon.kill("SIGTERM");
    const late = setTimeout(() => daemon.kill("SIGKILL"), 15_000);
    await gone;
    clearTimeout(late);
  }

  /** Ends PM2 and what it runs; then whatever of this world might still be there. */
  async function endPm2() {
    const pm2 = spawn(process.execPath, [join(project, "node_modules/pm2/bin/pm2"), "kill"], {
      env,
      stdio: "ignore",
      detached: true,
      timeout: 30_000,
    });
    await once(pm2, "exit");
    for (const pid of ours(dir)) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It ended by itself.
      }
    }
  }

  let ending;
  return {
    dir,
    url,
    appUrl: `http://127.0.0.1:${appPort}`,
    appPort,
    output,
    push,
    startDaemon,
    token: () => readFileSync(join(dir, "data", "cli-token"), "utf8").trim(),
    /** Commits these files and pushes; gives the sha. */
    commit(files, message) {
      for (const [name, text] of Object.entries(files)) writeFileSync(join(work, name), text);
      git("add", "-A");
      git("commit", "-q", "-m", message);
      git("push", "-q", "origin", "HEAD:main");
      return git("rev-parse", "HEAD");
    },
    end() {
      ending ??= (async () => {
        await endDaemon();
        await endPm2();
        rmSync(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
      })();
      return ending;
    },
  };
}

/** Processes whose environment names this world's folder: its daemon, PM2, apps and builds. */
function ours(dir) {
  try {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
      .filter((pid) => {
        try {
          return readFileSync(`/proc/${pid}/environ`, "utf8").includes(`HOME=${dir}\0`);
        } catch {
          return false;
        }
      })
      .map(Number);
  } catch {
    return [];
  }
}
