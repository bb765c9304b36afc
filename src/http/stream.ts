import type { Deploy } from "../domain/deploy.js";
import { isEnded } from "../domain/deploy.js";
import type { DeployLogs, LogEvent, LogPlace, Queue } from "../domain/ports.js";
import { formatSse } from "./sse.js";

/** Often enough for proxies that cut silent connections after 30 s or a minute. */
const heartbeatMs = 10_000;

/** How long after a deploy's end its log may take to be closed. */
const closingMs = 5_000;

const heartbeat = Buffer.from(": still here\n\n");

export interface StreamSources {
  logs: DeployLogs;
  queue: Pick<Queue, "get" | "subscribe">;
  /** Aborted when the daemon stops: followers are told, and come again. */
  stopping: AbortSignal;
}

type Encode = (events: LogEvent[]) => Buffer;

export function createStreams({ logs, queue, stopping }: StreamSources) {
  // Chunks are shared by all readers of a place, so what is known about one is kept beside it.
  const lastIds = new WeakMap<Buffer, number>();
  const remember =
    (encode: (events: LogEvent[]) => string): Encode =>
    (events) => {
      const chunk = Buffer.from(encode(events));
      lastIds.set(chunk, events.at(-1)?.id ?? 0);
      return chunk;
    };
  const asSse = remember((events) =>
    events.map(({ id, event, data }) => formatSse(String(id), event, data)).join(""),
  );
  const asText = remember((events) =>
    events.map((event) => (event.event === "log" ? `${event.data.text}\n` : "")).join(""),
  );

  /**
   * Everything of a log from a place to the deploy's end. The end is the store's to say: should a log stay open
   * behind it, what is there is given and that was all.
   */
  async function* whole(id: string, place: LogPlace, encode: Encode, signal: AbortSignal) {
    const deploy = queue.get(id);
    if (!place.follow || !deploy || isEnded(deploy)) {
      yield* logs.encoded(id, { ...place, follow: false, signal }, encode);
      return;
    }
    const overdue = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const watch = (changed: Deploy) => {
      if (changed.id !== id || !isEnded(changed) || timer) return;
      timer = setTimeout(() => overdue.abort(), closingMs);
    };
    const unsubscribe = queue.subscribe(watch);
    let last: number | undefined;
    try {
      const either = AbortSignal.any([signal, overdue.signal]);
      try {
        for await (const chunk of logs.encoded(id, { ...place, signal: either }, encode)) {
          last = lastIds.get(chunk);
          yield chunk;
        }
      } catch (error) {
        if (!overdue.signal.aborted) throw error;
      }
      if (overdue.signal.aborted && !signal.aborted) {
        const rest = last === undefined ? { ...place, follow: false } : { after: last };
        yield* logs.encoded(id, { ...rest, signal }, encode);
      }
    } finally {
      clearTimeout(timer);
      unsubscribe();
    }
  }

  /** As `source`, with a heartbeat whenever it is silent for long. */
  async function* beating(source: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
    let next = source.next();
    try {
      for (;;) {
        let timer: NodeJS.Timeout | undefined;
        const silence = new Promise<"silence">((resolve) => {
          timer = setTimeout(resolve, heartbeatMs, "silence");
        });
        const result = await Promise.race([next, silence]).finally(() => clearTimeout(timer));
        if (result === "silence") yield heartbeat;
        else if (result.done) return;
        else {
          next = source.next();
          yield result.value;
        }
      }
    } finally {
      next.catch(() => {});
      void source.return?.();
    }
  }

  /** Resolves when the deploy is stored as ended; its log is closed at about the same time. */
  const ending = (id: string, signal: AbortSignal): Promise<Deploy | undefined> =>
    new Promise((resolve) => {
      const unsubscribe = queue.subscribe((deploy) => deploy.id === id && done());
      const done = () => {
        const deploy = queue.get(id);
        if (!signal.aborted && deploy && !isEnded(deploy)) return;
        unsubscribe();
        signal.removeEventListener("abort", done);
        resolve(signal.aborted ? undefined : deploy);
      };
      signal.addEventListener("abort", done);
      done();
    });

  return {
    /** The event stream. `view` makes what `end` carries. */
    async *events(
      id: string,
      after: number,
      left: AbortSignal,
      view: (deploy: Deploy) => Promise<unknown>,
    ): AsyncGenerator<Buffer> {
      const signal = AbortSignal.any([left, stopping]);
      // Answers at once, so that a follower of a deploy that waits knows it is connected.
      yield Buffer.from("retry: 2000\n\n");
      async function* all() {
        yield* whole(id, { after, follow: true }, asSse, signal);
        const deploy = await ending(id, signal);
        if (deploy) yield Buffer.from(formatSse("end", "end", await view(deploy)));
      }
      yield* beating(all());
      if (stopping.aborted) yield Buffer.from('event: stopping\ndata: {"resume":true}\n\n');
    },

    /** The plain text. A follower that the daemon leaves sees its connection break, never a false end. */
    async *text(id: string, place: LogPlace, left: AbortSignal): AsyncGenerator<Buffer> {
      const signal = AbortSignal.any([left, stopping]);
      yield* whole(id, place, asText, signal);
      if (place.follow && stopping.aborted) throw new Error("the daemon stops");
    },
  };
}
