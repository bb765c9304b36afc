/**
 * A real daemon (dist/main.js) with a PM2, repositories and apps of its own; everything private, temporary, and
 * on 127.0.0.1.
 */
import { execFileSync, spawn } from "node:child_process";
import { createHash, createHmac, randomBytes } from "node:crypto";
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { createPrivatePm2 } from "../../bench/lib/pm2.js";

const seamsFile = join(import.meta.dirname, "seams.js");
const main = join(import.meta.dirname, "../../../dist/main.js");

export const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

const app = (port, text) => `
import http from "node:http";
http.createServer((req, res) => res.end(${JSON.stringify(text)})).listen(Number(process.env.PORT) || ${port});
`;

/** `names`: the apps; `block`: what each one's configuration says beyond the smallest. */
export async function createHost(names, block = () => ({})) {
  const dir = mkdtempSync(join(tmpdir(), "dropless-soak-"));
  const pm2 = createPrivatePm2();
  const [port, secret, token] = [
    await freePort(),
    randomBytes(24).toString("hex"),
    randomBytes(24).toString("hex"),
  ];
  const env = {
    PATH: pm2.env.PATH,
    HOME: pm2.env.HOME,
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_AUTHOR_NAME: "Soak",
    GIT_AUTHOR_EMAIL: "soak@example.com",
    GIT_COMMITTER_NAME: "Soak",
    GIT_COMMITTER_EMAIL: "soak@example.com",
  };
  const repos = {};
  for (const name of names) {
    const [origin, work] = [join(dir, "git/acme", `${name}.git`), join(dir, "work", name)];
    for (const path of [origin, work]) mkdirSync(path, { recursive: true });
    const git = (...args) => execFileSync("git", args, { cwd: work, env, encoding: "utf8" }).trim();
    execFileSync("git", ["init", "-q", "--bare", "-b", "main", origin], { env });
    git("init", "-q", "-b", "main");
    git("remote", "add", "origin", origin);
    repos[name] = { origin, work, git, port: await freePort(), commits: 0 };
  }

  writeFileSync(
    join(dir, "dropless.yaml"),
    JSON.stringify({
      dataDir: join(dir, "data"),
      server: { port },
      pm2Home: pm2.home,
      tokens: [{ name: "soak", scope: "admin", sha256: createHash("sha256").update(token).digest("hex") }],
      apps: Object.fromEntries(
        names.map((name) => [
          name,
          {
            repository: repos[name].origin,
            root: join(dir, "srv", name),
            secrets: ["env:SOAK_SECRET"],
            port: repos[name].port,
            pm2: { script: "server.js", name, instances: 1, exec_mode: "cluster" },
            health: { path: "/", successes: 1, soak: "200ms", watch: "200ms" },
            drain: { timeout: "5s" },
            ...block({ name, dir }),
          },
        ]),
      ),
    }),
  );

  let child;
  const said = [];
  /**
   * With `seams` the daemon tells where it is and dies where it is told; then `killed` instead of ready is no fault.
   * `quiet`: what it says goes to a file, so that nobody here spends the machine's time on reading it.
   */
  async function start({ seams = false, quiet = false, args = [], env: more = {} } = {}) {
    const output = quiet ? openSync(join(dir, "said"), "a") : "pipe";
    child = spawn(process.execPath, [...(seams ? ["--import", seamsFile] : []), ...args, main], {
      cwd: dir,
      env: { ...env, DROPLESS_CONFIG: join(dir, "dropless.yaml"), SOAK_SECRET: secret, ...more },
      stdio: ["ignore", output, output, ...(seams ? ["ipc"] : [])],
    });
    const started = child;
    if (quiet) {
      closeSync(output);
      while (!(await isReady())) {
        if (!isUp()) throw new Error(`the daemon ended:\n${readFileSync(join(dir, "said"), "utf8")}`);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      return "ready";
    }
    const keep = (line) => said.push(line) > 200 && said.shift();
    createInterface({ input: child.stderr }).on("line", keep);
    return new Promise((resolve, reject) => {
      createInterface({ input: started.stdout }).on("line", (line) => {
        keep(line);
        if (line.includes('"msg":"ready"')) resolve("ready");
      });
      started.once("exit", (code, signal) =>
        seams && signal === "SIGKILL"
          ? resolve("killed")
          : reject(new Error(`the daemon ended with ${code}:\n${said.join("\n")}`)),
      );
    });
  }

  const url = `http://127.0.0.1:${port}`;
  // On a connection of its own, which ends with it: what is kept open is looked after.
  const isReady = () =>
    new Promise((resolve) => {
      const asked = request(`${url}/readyz`, { agent: false }, (answer) => {
        answer.resume();
        answer.on("close", () => resolve(answer.statusCode === 200));
      });
      asked.on("error", () => resolve(false)).end();
    });
  async function get(path) {
    const answer = await fetch(url + path, { headers: { authorization: `Bearer ${token}` } });
    return { status: answer.status, body: await answer.json() };
  }

  const isUp = () => child !== undefined && child.exitCode === null && child.signalCode === null;
  const gone = (one) =>
    one.exitCode !== null || one.signalCode !== null
      ? Promise.resolve()
      : new Promise((resolve) => one.once("exit", resolve));

  const host = {
    dir,
    pm2,
    isUp,
    pid: () => child.pid,
    /** Resolves when the daemon has ended. */
    gone: () => gone(child),
    async stop(signal = "SIGTERM") {
      child.kill(signal);
      await gone(child);
    },
    /** Where the daemon is to kill itself; undefined for nowhere. Starts the trace anew. */
    aim: (seam) =>
      new Promise((resolve, reject) => {
        const answered = (message) => {
          if (!message?.aimed) return;
          child.off("message", answered);
          resolve();
        };
        child.on("message", answered);
        child.send({ aim: seam ?? null }, (error) => error && reject(error));
      }),
    async call(method, path, body) {
      const answer = await fetch(url + path, {
        method,
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        ...(method !== "GET" && { body: JSON.stringify(body ?? {}) }),
      });
      return { status: answer.status, body: await answer.json() };
    },
    port,
    token,
    secret,
    repos,
    start,
    get,
    /** A new commit of an app, on its branch at the origin. */
    commit(name, files = {}) {
      const { work, git, port } = repos[name];
      const n = ++repos[name].commits;
      const all = { "server.js": app(port, `${name} ${n}`), "package.json": '{"type":"module"}', ...files };
      for (const [path, text] of Object.entries(all)) {
        if (text === null) rmSync(join(work, path), { force: true });
        else writeFileSync(join(work, path), text);
      }
      git("add", "-A");
      git("commit", "-q", "--allow-empty", "-m", `change ${n}`);
      git("push", "-q", "origin", "main");
      return git("rev-parse", "HEAD");
    },
    /** A signed push, as GitHub sends it; what `fetch` and `http.request` need of it. */
    push(name, sha) {
      const body = JSON.stringify({
        ref: "refs/heads/main",
        before: randomBytes(20).toString("hex"),
        after: sha,
        deleted: false,
        head_commit: { id: sha, message: "a change", author: { name: "Soak" } },
        repository: { full_name: `acme/${name}` },
      });
      const headers = {
        "content-type": "application/json",
        "x-github-event": "push",
        "x-github-delivery": randomBytes(16).toString("hex"),
        "x-hub-signature-256": `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`,
      };
      return { body, headers };
    },
    async deliver(name, sha) {
      const { body, headers } = this.push(name, sha);
      const answer = await fetch(`${url}/webhooks/deploy`, { method: "POST", body, headers });
      return answer.json();
    },
    /** Asks until `wanted` holds for the answer. */
    async until(path, wanted, seconds = 120) {
      const deadline = Date.now() + seconds * 1000;
      for (;;) {
        const { body } = await get(path);
        if (wanted(body)) return body;
        if (Date.now() > deadline) throw new Error(`${path} is still ${JSON.stringify(body).slice(0, 2000)}`);
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    },
    rssMb: () =>
      Math.round(
        Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1]) / 1024,
      ),
    said: () => said.join("\n"),
    async end() {
      if (isUp()) {
        const exited = new Promise((resolve) => child.once("exit", resolve));
        child.kill("SIGTERM");
        const late = setTimeout(() => child.kill("SIGKILL"), 30_000);
        await exited;
        clearTimeout(late);
      }
      await pm2.end();
      rmSync(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    },
  };
  // Somebody's Ctrl-C, or a `timeout` around the script: nothing is left running then either.
  for (const signal of ["SIGINT", "SIGTERM"])
    process.once(signal, () => void host.end().finally(() => process.exit(1)));
  return host;
}

/** p50, p99 and the largest of some milliseconds, as a text. */
export function spread(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share) =>
    Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0);
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms`;
}
