/**
 * Ways to deploy the sample app, side by side: one repository, one machine, one npm cache; each with a clone, a PM2, a
 * HOME and a port of its own. `deploy(sha)` brings the pushed commit live and gives what it took.
 *
 *   dropless   the daemon, from the signed push to the deploy's end
 *   script     what everybody writes first: in place, git pull && npm ci && npm run build && pm2 reload
 *   webhook    adnanh/webhook starting that script, from the signed push to its answer at the script's end
 *   pm2deploy  `pm2 deploy` to this machine, the same commands as its post-deploy
 *   floor      the bare work: git fetch, npm ci if the lockfile has changed, the build, one instance booted
 */
import { execFileSync, spawn } from "node:child_process";
import { createHmac, randomBytes } from "node:crypto";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createHost, freePort } from "./host.js";
import { endOnInterrupt } from "./interrupt.js";
import { createPrivatePm2 } from "./pm2.js";

const pm2Bin = fileURLToPath(new URL("../../../node_modules/pm2/bin/pm2", import.meta.url));
const limitMs = 600_000;

/** A command in a group of its own, which can be ended as a whole. */
function start(file, args, { cwd, env }) {
  const child = spawn(file, args, { cwd, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (text) => {
      said = (said + text).slice(-8000);
    });
  const ended = once(child, "exit");
  const kill = (signal = "SIGKILL") => {
    try {
      process.kill(-child.pid, signal);
    } catch {
      // It has ended.
    }
  };
  return { child, ended, kill, said: () => said };
}

const shim = (program, real, trace) => `#!/bin/sh
began=$(date +%s%3N)
${real} "$@"
code=$?
echo "${program} $began $(date +%s%3N)" >>${trace}
exit $code
`;

/** What a deploy's own commands and boots took, as [began, ended] in milliseconds since 1970. */
const readTrace = (file) =>
  existsSync(file)
    ? readFileSync(file, "utf8")
        .trim()
        .split("\n")
        .map((line) => line.split(" "))
        .map(([kind, began, ended]) => ({ kind, began: Number(began), ended: Number(ended) }))
    : [];

const which = (program) =>
  execFileSync("/bin/sh", ["-c", `command -v ${program}`], { encoding: "utf8" }).trim();
const has = (program) => {
  try {
    return which(program) !== "";
  } catch {
    return false;
  }
};

/** `names`: which of the ways; `defaults`: also an app `patient` with the health defaults, deployed by hand only. */
export async function createWays({ sample, names, defaults = false }) {
  const dir = mkdtempSync(join(tmpdir(), "dropless-ways-"));
  const [bin, trace] = [join(dir, "bin"), join(dir, "trace")];
  mkdirSync(bin);
  symlinkSync(pm2Bin, join(bin, "pm2"));
  const shims = join(dir, "shims");
  mkdirSync(shims);
  // With cp packages are put into place, those of an earlier deploy.
  for (const program of ["git", "npm", "cp"]) {
    writeFileSync(join(shims, program), shim(program, which(program), trace));
    chmodSync(join(shims, program), 0o755);
  }
  const ends = [() => rmSync(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })];
  const end = async () => {
    forget();
    for (const each of ends.reverse()) await each();
    ends.length = 0;
  };
  const forget = endOnInterrupt(end);

  const host = await createHost({ env: { PATH: `${shims}:${process.env.PATH}` } });
  ends.push(() => host.end());
  const health = { path: "/healthz", soak: "0s", watch: "0s" };
  const app = async (extra) => {
    const port = await freePort();
    return {
      port,
      pm2: { config: "ecosystem.config.js" },
      env: { PORT: port, BENCH_TRACE: trace },
      buildEnv: sample.env,
      ...extra,
    };
  };
  const { repo, port } = await host.addApp("sample", await app({ health }), { installs: true });
  if (defaults) {
    const block = await app({
      secrets: [],
      health: { path: "/healthz" },
      pm2: { script: "dist/server.js", instances: 2 },
    });
    await host.addApp("patient", block, { repo, installs: true });
  }

  /** A clone with all that a person would have on a server. */
  async function createPlace(name) {
    const pm2 = createPrivatePm2({
      env: { PORT: String(await freePort()), USER: `bench-${name}-${process.pid}`, ...sample.env },
    });
    ends.push(() => pm2.end());
    const env = { ...pm2.env, PATH: `${bin}:${pm2.env.PATH}`, GIT_CONFIG_NOSYSTEM: "1" };
    const clone = join(pm2.dir, "app");
    let running;
    ends.push(() => running?.kill());
    return {
      pm2,
      env,
      clone,
      port: Number(env.PORT),
      async run(file, args, cwd = clone) {
        running = start(file, args, { cwd, env });
        const late = setTimeout(() => running.kill(), limitMs);
        const [code, signal] = await running.ended;
        clearTimeout(late);
        if (code !== 0)
          throw new Error(`${name}: ${file} ${args.join(" ")}: ${signal ?? code}\n${running.said()}`);
      },
      async git() {
        await this.run("git", ["clone", "-q", repo.url, clone], pm2.dir);
      },
    };
  }
  const timed = async (work) => {
    const began = performance.now();
    await work();
    return { seconds: (performance.now() - began) / 1000 };
  };
  const script = (dir, before = "") => {
    const file = join(dir, "deploy.sh");
    writeFileSync(
      file,
      `#!/bin/sh\ngit pull -q && npm ci && npm run build && ${before}pm2 reload ecosystem.config.js --update-env\n`,
      { mode: 0o755 },
    );
    return file;
  };

  const makers = {
    async dropless() {
      await host.start();
      const by = async (work) => {
        rmSync(trace, { force: true });
        const sent = Date.now();
        const deploy = await work();
        if (deploy.status !== "succeeded")
          throw new Error(
            `dropless: ${deploy.status}: ${deploy.error?.message}\n${deploy.logTail?.join("\n")}`,
          );
        const ended = Date.parse(deploy.finishedAt);
        return { seconds: (ended - sent) / 1000, sent, ended, deploy, trace: readTrace(trace) };
      };
      return {
        port,
        host,
        deploy: (sha) => by(() => host.deploy(repo.fullName, sha, limitMs)),
        again: () => by(() => host.ask("/deploys", { app: "sample" }, limitMs)),
        rollback: () => by(() => host.ask("/apps/sample/rollback", {}, limitMs)),
        patient: () => by(() => host.ask("/deploys", { app: "patient" }, limitMs)),
      };
    },
    async script() {
      const place = await createPlace("script");
      await place.git();
      const mark = join(place.pm2.dir, "built");
      const file = script(place.pm2.dir, `date +%s%3N >${mark} && `);
      return {
        port: place.port,
        /** `built`: when the build was over and the reload began, milliseconds since 1970. */
        async deploy() {
          const sent = Date.now();
          const took = await timed(() => place.run("/bin/sh", [file]));
          return { ...took, sent, built: Number(readFileSync(mark, "utf8")) };
        },
      };
    },
    async webhook() {
      if (!has("webhook")) return undefined;
      const place = await createPlace("webhook");
      await place.git();
      const [secret, listens] = [randomBytes(20).toString("hex"), await freePort()];
      const hooks = join(place.pm2.dir, "hooks.json");
      const signature = { source: "header", name: "X-Hub-Signature-256" };
      const hook = {
        id: "deploy",
        "execute-command": script(place.pm2.dir),
        "command-working-directory": place.clone,
        "include-command-output-in-response": true,
        "trigger-rule": { match: { type: "payload-hmac-sha256", secret, parameter: signature } },
      };
      writeFileSync(hooks, JSON.stringify([hook]));
      const args = ["-hooks", hooks, "-ip", "127.0.0.1", "-port", String(listens)];
      const server = start("webhook", args, { cwd: place.pm2.dir, env: place.env });
      ends.push(async () => {
        server.kill();
        await server.ended;
      });
      for (let up = false; !up; await sleep(20))
        up = await new Promise((resolve) => {
          const socket = connect(listens, "127.0.0.1", () => resolve(true)).on("error", () => resolve(false));
          setTimeout(() => socket.destroy(), 100).unref();
        });
      return {
        port: place.port,
        deploy: (sha) =>
          timed(async () => {
            const body = JSON.stringify({ ref: "refs/heads/main", after: sha });
            const sum = createHmac("sha256", secret).update(body).digest("hex");
            const answer = await fetch(`http://127.0.0.1:${listens}/hooks/deploy`, {
              method: "POST",
              headers: { "content-type": "application/json", "x-hub-signature-256": `sha256=${sum}` },
              body,
              signal: AbortSignal.timeout(limitMs),
            });
            const text = await answer.text();
            if (!answer.ok) throw new Error(`webhook: ${answer.status} ${text}`);
          }),
      };
    },
    async pm2deploy() {
      const place = await createPlace("pm2deploy");
      // It wants to be started in a clean clone, somebody's own in real life.
      await place.git();
      ends.push(() => rmSync(`/tmp/pm2-deploy-${place.env.USER}.log`, { force: true }));
      const file = join(place.pm2.dir, "deploy.config.json");
      const path = join(place.pm2.dir, "deployed");
      const commands = "npm ci && npm run build && pm2 reload ecosystem.config.js --update-env";
      const production = {
        host: "localhost",
        repo: repo.url,
        ref: "origin/main",
        path,
        "post-deploy": commands,
      };
      writeFileSync(file, JSON.stringify({ apps: [], deploy: { production } }));
      await place.run("pm2", ["deploy", file, "production", "setup"]);
      return {
        port: place.port,
        deploy: () => timed(() => place.run("pm2", ["deploy", file, "production"])),
      };
    },
    async floor() {
      const place = await createPlace("floor");
      await place.git();
      return {
        async deploy(_sha, { install = true } = {}) {
          const parts = {};
          const part = async (name, work) => {
            parts[name] = (await timed(work)).seconds;
          };
          await part("fetch", async () => {
            await place.run("git", ["fetch", "-q"]);
            await place.run("git", ["reset", "-q", "--hard", "origin/main"]);
          });
          if (install) await part("install", () => place.run("npm", ["ci"]));
          await part("build", () => place.run("npm", ["run", "build"]));
          await part("boot", async () => {
            const instance = start(process.execPath, ["dist/server.js"], {
              cwd: place.clone,
              env: { ...place.env, BENCH_SAY: "1" },
            });
            await Promise.race([once(instance.child.stdout, "data"), instance.ended]);
            instance.kill();
            await instance.ended;
            if (!instance.said().includes("listening")) throw new Error(`floor: ${instance.said()}`);
          });
          return { seconds: Object.values(parts).reduce((sum, one) => sum + one, 0), parts };
        },
      };
    },
  };

  let code = 0;
  const ways = { commit: (lock) => repo.commit(sample.files(++code, lock), `release ${code}`), end };
  try {
    // Something to clone.
    ways.commit(0);
    for (const name of names) ways[name] = await makers[name]();
  } catch (error) {
    await end();
    throw error;
  }
  return ways;
}
