import { mkdirSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";
import type { DeployLogs, LogEvent, LogPlace } from "../../domain/ports.js";
import type { Redactor } from "../../domain/redact.js";
import { backwards, openIfThere, readBlock, seek } from "./file.js";
import { createPrune } from "./prune.js";
import { toEvent } from "./record.js";
import { createShared } from "./shared.js";
import { createSlots } from "./slots.js";
import { createTurnstile } from "./turnstile.js";
import { createWriter } from "./writer.js";

/** Bytes of commands' output that one deploy's log takes: a million lines, and a good deal more. */
const defaultLimit = 256_000_000;

interface Options {
  /** Made if need be. */
  dir: string;
  redact: Redactor;
  /** Milliseconds since 1970. */
  now?: () => number;
  /** Bytes of commands' output that one log takes; then the rest is counted, and its end kept. */
  limit?: number;
  /** How many logs are kept; the oldest go first. */
  keep?: number;
  /** Told of a log that cannot be written; the deploy goes on. */
  report?: (error: unknown) => void;
}

/** A log that is being written: how long it is, and who waits for more of it. */
interface Live {
  writer: ReturnType<typeof createWriter>;
  size: number;
  closed: boolean;
  closing?: Promise<void>;
  waiters: Set<() => void>;
}

/**
 * One append-only file of JSON lines for each deploy. Readers only ever read the file, so that they see what is
 * on it and nothing else, and a slow one holds nothing but its place.
 */
export function createDeployLogs(options: Options): DeployLogs {
  const { dir, redact, now = Date.now, limit = defaultLimit, keep = 1000, report = () => {} } = options;
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const live = new Map<string, Live>();
  // A burst opens thousands of logs at once; file descriptors are scarcer than that.
  const writing = createSlots(16);
  const reading = createSlots(8);
  /** Logs that are being written at this moment. */
  let busy = 0;
  const turn = createTurnstile(() => (busy > 0 ? 1 : 64));
  const shared = createShared();
  const prune = createPrune({ dir, keep, isLive: (id) => live.has(id) });
  const pathOf = (deploy: string): string => join(dir, `${deploy}.ndjson`);

  function start(deploy: string): Live {
    const state: Omit<Live, "writer"> & { writer?: Live["writer"] } = {
      size: 0,
      closed: false,
      waiters: new Set(),
    };
    state.writer = createWriter({
      path: pathOf(deploy),
      redactor: redact,
      now,
      limit,
      slot: writing,
      report,
      busy(is) {
        busy += is ? 1 : -1;
      },
      grown(size) {
        state.size = size;
        wake(state.waiters);
      },
    });
    return state as Live;
  }

  async function end(deploy: string, state: Live): Promise<void> {
    await state.writer.close();
    state.closed = true;
    live.delete(deploy);
    wake(state.waiters);
    await prune().catch(report);
  }

  async function* blocks<T>(
    deploy: string,
    { after = 0, afterLine = 0, follow = false, signal }: LogPlace,
    take: (file: FileHandle, offset: number, size: number) => Promise<{ value: T; next: number }>,
  ): AsyncGenerator<T> {
    const state = live.get(deploy);
    let file = await openIfThere(pathOf(deploy));
    try {
      let offset: number | undefined;
      while (!signal?.aborted) {
        const over = !follow || state === undefined || state.closed;
        file ??= await openIfThere(pathOf(deploy));
        const size = state ? state.size : ((await file?.stat())?.size ?? 0);
        if (file && offset === undefined && size > 0) {
          const behind = (place: { id: number; line: number }) => place.id > after && place.line > afterLine;
          offset = after === 0 && afterLine === 0 ? 0 : await seek(file, size, behind);
        }
        if (file && offset !== undefined && offset < size) {
          await turn();
          const { value, next } = await take(file, offset, size);
          if (next > offset) {
            offset = next;
            yield value;
            continue;
          }
        }
        if (over || !state) return;
        if (state.size === size && !state.closed) await more(state, signal);
      }
    } finally {
      await file?.close();
    }
  }

  return {
    open(deploy) {
      let state = live.get(deploy);
      if (!state) {
        state = start(deploy);
        live.set(deploy, state);
      }
      return state.writer.writer;
    },
    async *read(deploy, place) {
      if (!isId(deploy)) return;
      for await (const events of blocks(deploy, place, parse)) yield* events;
    },
    async *encoded(deploy, place, encode) {
      if (!isId(deploy)) return;
      yield* blocks(deploy, place, (file, offset, size) =>
        shared(encode, deploy, offset, async () => {
          const { value, next } = await reading(() => parse(file, offset, size));
          return { value: encode(value), next };
        }),
      );
    },
    async tail(deploy, count) {
      const file = isId(deploy) && count > 0 ? await openIfThere(pathOf(deploy)) : undefined;
      if (!file) return [];
      try {
        const { size } = await file.stat();
        const lines: string[] = [];
        for await (const text of backwards(file, size)) {
          const event = toEvent(text);
          if (event?.event === "log") lines.push(event.data.text);
          if (lines.length >= count) break;
        }
        return lines.reverse();
      } finally {
        await file.close();
      }
    },
    close(deploy) {
      const state = live.get(deploy);
      if (!state) return Promise.resolve();
      state.closing ??= end(deploy, state);
      return state.closing;
    },
  };
}

/** Ids come from outside too; nothing else may become a part of a path. */
const isId = (deploy: string): boolean => /^[0-9A-Za-z_-]{1,64}$/.test(deploy);

async function parse(file: FileHandle, offset: number, size: number) {
  const { text, next } = await readBlock(file, offset, size);
  const events: LogEvent[] = [];
  for (const line of text.split("\n")) {
    const event = line === "" ? undefined : toEvent(line);
    if (event) events.push(event);
  }
  return { value: events, next };
}

function wake(waiters: Set<() => void>): void {
  for (const waiter of [...waiters]) waiter();
}

const more = (state: Live, signal: AbortSignal | undefined): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      state.waiters.delete(done);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    state.waiters.add(done);
    signal?.addEventListener("abort", done);
  });
