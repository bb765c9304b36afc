import type { Deploy } from "../domain/deploy.js";
import { isEnded } from "../domain/deploy.js";
import type { DeployLogs, LogEvent, LogPlace, Queue } from "../domain/ports.js";
import type { Redactor } from "../domain/redact.js";
import { formatSse } from "./sse.js";

/** Often enough for proxies that cut silent connections after 30 s or a minute. */
const heartbeatMs = 10_000;

const heartbeat = Buffer.from(": still here\n\n");

export interface StreamSources {
  logs: DeployLogs;
  queue: Pick<Queue, "get" | "subscribe">;
  redact: Redactor;
  /** How long after a deploy's end its log may take to be closed, milliseconds. */
  closingMs?: number;
  /** Aborted when the daemon stops: followers are told, and come again. */
  stopping: AbortSignal;
}

type Encode = (events: LogEvent[]) => Buffer;

export function createStreams({ logs, queue, redact, stopping, closingMs = 5_000 }: StreamSources) {
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

  /** The next change of a deploy, or the end of `signal`. */
  const change = (id: string, signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      const done = () => {
        unsubscribe();
        signal.removeEventListener("abort", done);
        resolve();
      };
      const unsubscribe = queue.subscribe((deploy) => deploy.id === id && done());
      signal.addEventListener("abort", done);
      if (signal.aborted) done();
    });

  /**
   * Aborts some time after the deploy has ended, for a log that is not closed. Gives what calls that off.
   */
  function giveUpAfterEnd(id: string, patience: AbortController): () => void {
    let timer: NodeJS.Timeout | undefined;
    const look = (deploy: Deploy | undefined) => {
      if (!deploy || (deploy.id === id && isEnded(deploy)))
        timer ??= setTimeout(() => patience.abort(), closingMs);
    };
    const unsubscribe = queue.subscribe(look);
    look(queue.get(id));
    return () => {
      clearTimeout(timer);
      unsubscribe();
    };
  }

  /**
   * Everything of a log from a place on; with `follow`, until the deploy has ended and its log was closed behind
   * that. The end is the store's to say: a log that is closed earlier (the daemon stops) or was never opened is
   * not the end. Says at last whether it was.
   */
  async function* whole(id: string, from: LogPlace, encode: Encode, signal: AbortSignal) {
    let place = from;
    for (;;) {
      const deploy = queue.get(id);
      const over = !deploy || isEnded(deploy);
      const patience = new AbortController();
      const callOff = from.follow ? giveUpAfterEnd(id, patience) : () => {};
      try {
        const until = AbortSignal.any([signal, patience.signal]);
        for await (const chunk of logs.encoded(
          id,
          { ...place, follow: from.follow, signal: until },
          encode,
        )) {
          place = { after: lastIds.get(chunk) };
          yield chunk;
        }
      } finally {
        callOff();
      }
      // Whoever is far behind still gets all that is there.
      if (patience.signal.aborted) yield* logs.encoded(id, { ...place, follow: false, signal }, encode);
      if (signal.aborted || !from.follow || over || patience.signal.aborted) return !signal.aborted;
      const now = queue.get(id);
      if (now && !isEnded(now)) await change(id, signal);
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
        const ended = yield* whole(id, { after, follow: true }, asSse, signal);
        const deploy = ended && queue.get(id);
        if (deploy) yield Buffer.from(redact.text(formatSse("end", "end", await view(deploy))));
      }
      let last = after;
      for await (const chunk of beating(all())) {
        last = lastIds.get(chunk) ?? last;
        yield chunk;
      }
      // With the id of the last one before it: whoever resumes from there has missed nothing.
      if (stopping.aborted) yield Buffer.from(formatSse(String(last), "stopping", { resume: true }));
    },

    /** The plain text. A follower that the daemon leaves sees its connection break, never a false end. */
    async *text(id: string, place: LogPlace, left: AbortSignal): AsyncGenerator<Buffer> {
      const signal = AbortSignal.any([left, stopping]);
      const ended = yield* whole(id, place, asText, signal);
      if (!ended && stopping.aborted) throw new Error("the daemon stops");
    },
  };
}
