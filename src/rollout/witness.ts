import type { LogWriter } from "../domain/ports.js";
import type { Pm2, Pm2Event } from "./pm2.js";

/** What was seen of one process since it was first heard of. */
interface Sighting {
  /** On the app's port. */
  listens: boolean;
  /** When it was first seen to listen; milliseconds since 1970. */
  listensSince?: number;
  /** The running instances' address, where it could not have the one it asked for beside them. */
  joined?: string;
  /** Other ports. */
  elsewhere: Set<number>;
  /** It ended, or PM2 started it again. */
  ended: boolean;
  exitCode?: number;
  /** When it first threw what it did not catch; milliseconds since 1970. */
  threwAt?: number;
  /** The last of what it printed; the errors last. */
  output: string;
  /** Statuses of its answers to probes. */
  answers: number[];
}

const keptOutput = 64 * 1024;

const fresh = (): Sighting => ({
  listens: false,
  elsewhere: new Set(),
  ended: false,
  output: "",
  answers: [],
});

export interface Witness {
  of(pmId: number): Sighting;
  /** From now on this process' output goes into the log, what it has printed already included. */
  follow(pmId: number): void;
  /** Its end is expected from now on. */
  forget(pmId: number): void;
  /** Resolves at the next event, after `ms`, or when `signal` aborts. */
  next(ms: number, signal?: AbortSignal): Promise<void>;
  stop(): void;
}

/** Listens to the processes of these names, from before they are started until `stop`. */
export async function createWitness(
  pm2: Pm2,
  names: readonly string[],
  log: Pick<LogWriter, "write">,
): Promise<Witness> {
  const seen = new Map<number, Sighting>();
  const followed = new Set<number>();
  let waiting: (() => void)[] = [];

  const of = (pmId: number): Sighting => {
    const known = seen.get(pmId) ?? fresh();
    seen.set(pmId, known);
    return known;
  };

  const onMessage = (sighting: Sighting, type: string, data: Record<string, unknown>) => {
    if (type === "dropless:listening") {
      sighting.listens = true;
      sighting.listensSince ??= performance.now();
      if (typeof data.joined === "string") sighting.joined = data.joined;
    } else if (type === "dropless:listening-elsewhere") {
      if (typeof data.port === "number") sighting.elsewhere.add(data.port);
    } else if (type === "dropless:answered" && data.probe === true) {
      sighting.answers.push(Number(data.status));
    }
  };

  const stop = await pm2.listen(names, (event: Pm2Event) => {
    const sighting = of(event.pmId);
    if (event.kind === "output") {
      sighting.output = (sighting.output + event.text).slice(-keptOutput);
      if (followed.has(event.pmId)) log.write(event.stream, event.text);
    } else if (event.kind === "exception") {
      sighting.threwAt ??= performance.now();
    } else if (event.kind === "message") {
      onMessage(sighting, event.type, (event.data ?? {}) as Record<string, unknown>);
    } else if (/^(exit|restart|restart overlimit)$/.test(event.event)) {
      sighting.ended = true;
      sighting.exitCode ??= event.exitCode;
    }
    const woken = waiting;
    waiting = [];
    for (const wake of woken) wake();
  });

  return {
    of,
    follow(pmId) {
      if (followed.has(pmId)) return;
      followed.add(pmId);
      const { output } = of(pmId);
      if (output !== "") log.write("stdout", output);
    },
    forget(pmId) {
      followed.delete(pmId);
      seen.delete(pmId);
    },
    next: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve();
        const wake = () => {
          clearTimeout(timer);
          signal?.removeEventListener("abort", wake);
          resolve();
        };
        const timer = setTimeout(wake, ms);
        signal?.addEventListener("abort", wake, { once: true });
        waiting.push(wake);
      }),
    stop,
  };
}
