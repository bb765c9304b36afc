import { hash, randomBytes } from "node:crypto";
import { onTestFinished } from "vitest";
import { openStore } from "../../src/adapters/sqlite/store.js";
import type { Deploy, DeployStatus, Outcome, Trigger } from "../../src/domain/deploy.js";
import { createIds } from "../../src/domain/ids.js";
import type { DeployLogs, LogWriter, Recorder } from "../../src/domain/ports.js";
import type { DeployRequest } from "../../src/domain/request.js";
import { createQueue } from "../../src/queue/queue.js";
import { tempDir } from "../support/temp.js";

export const sha = (n: number): string => n.toString(16).padStart(40, "0");

export const push = (n: number, app = "api", trigger: Trigger = "push"): DeployRequest => ({
  app,
  trigger,
  ref: "refs/heads/main",
  commit: { sha: sha(n), message: `change ${n}`, author: "Ada" },
});

/** As the hash of a body that is this text. */
export const hashOf = (text: string): string => hash("sha256", text);

export const delivery = (id: string) => ({ id, bodySha256: randomBytes(32).toString("hex") });

/** One run of a deploy that a test steers. */
interface Run {
  recorder: Recorder;
  signal: AbortSignal;
  ending: AbortSignal;
  end: (outcome: Outcome) => void;
  crash: (error: unknown) => void;
}

/** A queue on a real store, with a pipeline that does what the test says and logs that are remembered. */
export function bench(
  options: {
    dir?: string;
    apps?: string[];
    now?: () => number;
    retryMs?: number;
    onAbort?: boolean;
    ids?: () => string;
    afterwards?: () => Promise<void>;
  } = {},
) {
  const dir = options.dir ?? tempDir("queue");
  const apps = options.apps ?? ["api", "web", "shop"];
  const store = openStore(dir);
  const runs: Run[] = [];
  const waiters: (() => void)[] = [];
  const logged: string[] = [];
  const closed: string[] = [];
  const reported: unknown[] = [];
  const writer = (id: string): LogWriter => ({
    write() {},
    say: (text) => void logged.push(`${id} ${text}`),
    step: (name, status) => void logged.push(`${id} ${name} ${status}`),
    status: (status) => void logged.push(`${id} ${status}`),
    drained: async () => {},
    flush: async () => {},
  });
  const logs = {
    open: writer,
    close: async (id: string) => void closed.push(id),
  } as unknown as DeployLogs;
  const queue = createQueue({
    store,
    logs,
    ids: options.ids ?? createIds(options.now),
    isApp: (name) => apps.includes(name),
    now: options.now,
    retryMs: options.retryMs ?? 5,
    afterwards: options.afterwards,
    report: (error) => void reported.push(error),
    run: (recorder, signal, ending) =>
      new Promise((end, crash) => {
        runs.push({ recorder, signal, ending, end, crash });
        if (options.onAbort !== false) {
          const abort = () => end(problem("canceled"));
          if (signal.aborted) setImmediate(abort);
          else signal.addEventListener("abort", abort);
        }
        for (const wake of waiters.splice(0)) wake();
      }),
  });
  const seen: Deploy[] = [];
  queue.subscribe((deploy) => {
    seen.push(deploy);
    for (const wake of waiters.splice(0)) wake();
  });

  async function until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => waiters.push(resolve));
  }
  let open = true;
  async function close(graceMs = 0): Promise<void> {
    if (!open) return;
    open = false;
    await queue.stop({ graceMs });
    store.close();
  }
  onTestFinished(() => close());

  return {
    dir,
    store,
    queue,
    runs,
    seen,
    logged,
    closed,
    reported,
    until,
    close,
    /** The process dies: nothing is settled, the store is let go by the kernel. */
    die(): void {
      open = false;
      store.close();
    },
    /** The `n`th run, 1 being the first, once it has begun. */
    async run(n: number): Promise<Run> {
      await until(() => runs.length >= n);
      return runs[n - 1] as Run;
    },
    ended: (id: string, status?: DeployStatus) =>
      until(() => {
        const now = queue.get(id)?.status;
        return status ? now === status : now !== "queued" && now !== "running";
      }),
    /** Delivers one push and gives its submission, which must have been queued. */
    push(n: number, app?: string, id = `d${n}`) {
      const [submission] = queue.deliver(delivery(id), [push(n, app)]);
      if (submission?.kind !== "queued") throw new Error(`not queued but ${submission?.kind}`);
      return submission;
    },
  };
}

export const problem = (status: Exclude<Outcome["status"], "succeeded">): Outcome => ({
  status,
  error: { code: "test", message: "It was to fail.", hint: "Do nothing." },
});
