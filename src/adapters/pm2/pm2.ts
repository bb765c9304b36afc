import { mkdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Pm2, Pm2Event, Pm2Process } from "../../rollout/pm2.js";
import { crashed, endOrphans, findGod } from "./god.js";
import type { CallName, Calls, RawProcess } from "./messages.js";
import { startWorker, unreachable } from "./worker-process.js";

interface Pm2Deps {
  /** Absolute. */
  pm2Home: string;
  /** Milliseconds for a call that waits for nothing but PM2. */
  deadlineMs?: number;
  /** The worker process is ended after that long without a call. */
  idleMs?: number;
}

/** How long another may take to start a God that crashed. Milliseconds. */
const graceMs = 2000;

const text = (value: unknown): string => (typeof value === "string" ? value : "");
const number = (value: unknown, otherwise: number): number =>
  value === undefined || value === null || value === "" || Number.isNaN(Number(value))
    ? otherwise
    : Number(value);

function asProcess(one: RawProcess): Pm2Process {
  const env = one.pm2_env;
  const app = (env.env ?? {}) as Record<string, unknown>;
  const mark = (name: string) => text(app[name] ?? env[name]) || undefined;
  return {
    pmId: Number(one.pm_id ?? env.pm_id),
    name: text(one.name ?? env.name),
    pid: number(one.pid ?? one.process?.pid, 0),
    status: text(env.status),
    restarts: number(env.restart_time, 0),
    startedAt: number(env.pm_uptime, 0),
    memoryBytes: number(one.monit?.memory, 0),
    mode: env.exec_mode === "cluster_mode" ? "cluster" : "fork",
    cwd: text(env.pm_cwd),
    script: text(env.pm_exec_path),
    number: number(env[text(env.instance_var) || "NODE_APP_INSTANCE"], -1),
    killTimeout: number(env.kill_timeout, 1600),
    marks: { app: mark("DROPLESS_APP"), release: mark("DROPLESS_RELEASE"), deploy: mark("DROPLESS_DEPLOY") },
    raw: env,
  };
}

/** PM2 of one home, whatever version its God has. */
export function createPm2({ pm2Home, deadlineMs = 20_000, idleMs = 60_000 }: Pm2Deps): Pm2 {
  let worker: ReturnType<typeof startWorker> | undefined;
  let workerGod = 0;
  let idle: NodeJS.Timeout | undefined;
  let busy = 0;
  let launching: Promise<number | undefined> | undefined;
  const listeners = new Set<{ names: readonly string[]; listener: (event: Pm2Event) => void }>();

  const rest = () => {
    clearTimeout(idle);
    if (busy > 0 || listeners.size > 0) return;
    idle = setTimeout(() => worker?.end(), idleMs);
    idle.unref();
  };

  const onEvent = (event: Pm2Event) => {
    for (const { names, listener } of listeners) if (names.includes(event.name)) listener(event);
  };

  /** A worker that talks to this God and no other. */
  const workerFor = (god: number) => {
    if (worker && (worker.ended || workerGod !== god)) {
      worker.end();
      worker = undefined;
    }
    if (!worker) {
      mkdirSync(pm2Home, { recursive: true });
      const started = startWorker({
        pm2Home,
        onEvent,
        onEnd: () => {
          if (worker === started) worker = undefined;
        },
      });
      worker = started;
      workerGod = god;
    }
    return worker;
  };

  async function call<Name extends CallName>(
    name: Name,
    args: Calls[Name]["args"],
    extraMs = 0,
  ): Promise<Calls[Name]["result"]> {
    // A God that is being started shows its pid before it can answer, and its worker must not be replaced.
    await launching?.catch(() => undefined);
    const god = findGod(pm2Home);
    if (!god) throw unreachable(pm2Home);
    busy++;
    clearTimeout(idle);
    try {
      const fresh = worker === undefined || worker.ended || workerGod !== god.pid;
      const current = workerFor(god.pid);
      if (fresh && listeners.size > 0) await current.call("listen", [wantedNames()], deadlineMs);
      return await current.call(name, args, deadlineMs + extraMs);
    } finally {
      busy--;
      rest();
    }
  }

  /** Starts God where none runs; undefined when one does. Gives the number of processes it brought back. */
  async function launchGod(): Promise<number | undefined> {
    // After a crash its service manager may be about to start it again; two at once lose each other's apps.
    for (const until = performance.now() + graceMs; crashed(pm2Home) && performance.now() < until; )
      await sleep(50);
    if (findGod(pm2Home)) return undefined;
    await endOrphans(pm2Home);
    const restored = await workerFor(0).call("launch", [], 60_000);
    // This worker's connection is to the God it started.
    workerGod = findGod(pm2Home)?.pid ?? 0;
    if (workerGod === 0) throw unreachable(pm2Home);
    return restored;
  }

  function launch(): Promise<number | undefined> {
    busy++;
    launching = launchGod().finally(() => {
      launching = undefined;
      busy--;
      rest();
    });
    return launching;
  }

  const wantedNames = () => [...new Set([...listeners].flatMap(({ names }) => names))];

  return {
    async list() {
      if (!launching && !findGod(pm2Home)) return [];
      return (await call("list", [])).map(asProcess);
    },
    async start(spec) {
      // With wait_ready PM2 answers when the app is ready, at the latest after listen_timeout.
      const patience = number(spec.definition.listen_timeout, 3000);
      return asProcess(await call("start", [spec], patience));
    },
    async restore(raw) {
      return asProcess(await call("restore", [raw], number(raw.listen_timeout, 3000)));
    },
    async remove(process) {
      await call("remove", [process.pmId], 2 * process.killTimeout);
    },
    async stop(process) {
      await call("stop", [process.pmId], 2 * process.killTimeout);
    },
    async resume(process) {
      await call("resume", [process.pmId], number(process.raw.listen_timeout, 3000));
    },
    async save() {
      await call("save", []);
    },
    async ensure() {
      const started = await (launching ?? (findGod(pm2Home) ? undefined : launch()));
      if (started === undefined) return "running";
      return started > 0 ? "resurrected" : "started";
    },
    async listen(names, listener) {
      const entry = { names, listener };
      listeners.add(entry);
      const stop = () => {
        listeners.delete(entry);
        rest();
      };
      try {
        await call("listen", [wantedNames()]);
      } catch (error) {
        stop();
        throw error;
      }
      return stop;
    },
    async close() {
      clearTimeout(idle);
      listeners.clear();
      worker?.end();
    },
  };
}
