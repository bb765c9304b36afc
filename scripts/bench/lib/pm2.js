/**
 * A PM2 of one's own: private PM2_HOME and HOME, and an end that leaves nothing behind, whatever went wrong.
 */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { processes, read } from "../../lib/processes.js";

const ours = fileURLToPath(new URL("../../../node_modules/pm2", import.meta.url));

export function createPrivatePm2(options = {}) {
  const dir = mkdtempSync(join(tmpdir(), "dropless-pm2-"));
  const home = join(dir, "pm2");
  const node = options.node ?? process.execPath;
  mkdirSync(home);
  mkdirSync(join(dir, "home"));
  const env = {
    PATH: `${dirname(node)}:${process.env.PATH}`,
    HOME: join(dir, "home"),
    PM2_HOME: home,
    PM2_DISABLE_VERSION_CHECK: "true",
    LANG: "C.UTF-8",
    ...options.env,
  };
  const bin = join(options.pm2 ?? ours, "bin", "pm2");

  const run = (args, { cwd = dir, env: extra = {} } = {}) =>
    new Promise((resolve, reject) => {
      const settings = { cwd, env: { ...env, ...extra }, timeout: 120_000, maxBuffer: 64 * 1024 * 1024 };
      execFile(node, [bin, ...args], settings, (error, stdout, stderr) => {
        if (error && typeof error.code !== "number")
          reject(new Error(`pm2 ${args.join(" ")}: ${error.signal ?? error.message}\n${stdout}${stderr}`));
        else resolve({ code: error ? error.code : 0, stdout, stderr });
      });
    });

  const cli = async (...args) => {
    const result = await run(args);
    if (result.code !== 0)
      throw new Error(`pm2 ${args.join(" ")} exits with ${result.code}\n${result.stdout}${result.stderr}`);
    return result;
  };

  const godPid = () => Number(read(join(home, "pm2.pid"))) || undefined;

  /** By descent from the God daemon, and by environment for what has lost its parent. */
  const pids = () => {
    const all = processes();
    const found = new Set();
    const isMine = (pid) => pid === process.pid || (all.has(pid) && isMine(all.get(pid)));
    // What the caller itself started with this PM2_HOME (a daemon under test) is the caller's to end.
    // By HOME also the commands of a deploy whose daemon was killed.
    const marks = [`PM2_HOME=${home}`, `HOME=${join(dir, "home")}`];
    for (const pid of all.keys()) {
      const environ = read(`/proc/${pid}/environ`).split("\0");
      if (!isMine(pid) && marks.some((mark) => environ.includes(mark))) found.add(pid);
    }
    const god = godPid();
    if (god && read(`/proc/${god}/cmdline`).includes(home)) found.add(god);
    for (let before = -1; before !== found.size; ) {
      before = found.size;
      for (const [pid, parent] of all) if (found.has(parent)) found.add(pid);
    }
    return [...found];
  };

  const kill = (pid) => {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It was faster.
    }
  };

  return {
    dir,
    home,
    env,
    cli,
    run,
    godPid,
    pids,
    async list() {
      const { stdout } = await cli("jlist");
      return JSON.parse(stdout.slice(stdout.lastIndexOf("\n[") + 1));
    },
    async end() {
      const deadline = Date.now() + 30_000;
      for (let left = pids(); left.length > 0; left = pids()) {
        if (Date.now() > deadline) throw new Error(`still there: ${left.join(", ")}`);
        // The daemon first: it would start its apps again.
        const god = godPid();
        if (god && left.includes(god)) kill(god);
        for (const pid of left) kill(pid);
        await sleep(50);
      }
      rmSync(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    },
  };
}
