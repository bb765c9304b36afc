import type { DeployStatus } from "../../domain/deploy.js";
import type { LogWriter, Stream } from "../../domain/ports.js";
import type { Redactor } from "../../domain/redact.js";
import type { StepName } from "../../domain/step.js";
import { append, resume } from "./file.js";
import { clean, createFramer, pieces } from "./frame.js";
import { createOverflow } from "./overflow.js";
import { type Entry, type Place, toRecords } from "./record.js";

/** Bytes that wait to be written before a command is asked to pause. */
const highWater = 2 << 20;
// Who pauses may still bring two full pipes of empty lines, 64 K of them each.
/** Bytes that wait before lines are left out: whoever does not pause, or a disk that takes nothing. */
const mostPending = 18 << 20;
/** Bytes written at once. */
const batch = 1 << 20;
/** Bytes of lines that are kept, and made into records, as one: a string much longer than that costs the collector more. */
const piece = 48 << 10;
/** What a record has beside its text, bytes. */
const around = 120;
/** How long the first status waits for what comes next, milliseconds: in a burst, `superseded` does at once. */
const gatherMs = 200;
/** How long a file that cannot be written is left alone, milliseconds. */
const retryMs = 1000;

interface Deps {
  path: string;
  redactor: Redactor;
  now: () => number;
  /** Bytes of commands' output that a log takes. */
  limit: number;
  /** Runs a piece of file work when there is a free slot. */
  slot: <T>(work: () => Promise<T>) => Promise<T>;
  /** The file has grown to `size` bytes. */
  grown: (size: number) => void;
  /** It has begun, or has nothing more, to write. */
  busy: (is: boolean) => void;
  report: (error: unknown) => void;
}

/**
 * Writes one deploy's log. Numbers are given when a record is written, so that a write which fails, or lines that
 * are left out, never make a gap. No error gets out: a log is not worth a deploy.
 */
export function createWriter({ path, redactor, now, limit, slot, grown, busy, report }: Deps) {
  let size = 0;
  let place: Place | undefined;
  let pending: { entry: Entry; bytes: number }[] = [];
  let pendingBytes = 0;
  let taken = 0;
  let step: StepName | null = null;
  let working: Promise<void> | undefined;
  let failing = false;
  let closed = false;
  /** Ends the pause that is being made. */
  let goOnNow: (() => void) | undefined;
  let gathering = true;
  const roomWaiters: (() => void)[] = [];

  const time = (): string => new Date(now()).toISOString();

  /** `bytes`: about as long as its records will be. */
  function push(entry: Entry, bytes: number): void {
    if (closed) return;
    pending.push({ entry, bytes });
    pendingBytes += bytes;
    if (isOfRun(entry)) hurry();
    working ??= work();
  }

  function hurry(): void {
    if (gathering) goOnNow?.();
    gathering = false;
  }

  function lines(from: Stream, texts: string[], at: string): void {
    let bytes = 0;
    for (const text of texts) bytes += around + text.length;
    push({ event: "log", step, stream: from, lines: texts, time: at }, bytes);
  }

  const say = (text: string): void => {
    const said = redactor.text(text).split("\n");
    lines(
      "dropless",
      said.flatMap((line) => [...pieces(clean(line))]),
      time(),
    );
  };

  const overflow = createOverflow(say, ({ stream, text, time: at }) => lines(stream, [text], at));

  function output(stream: "stdout" | "stderr", texts: string[]): void {
    const at = time();
    let begun = 0;
    let bytes = 0;
    const put = (end: number): void => {
      if (end > begun) push({ event: "log", step, stream, lines: texts.slice(begun, end), time: at }, bytes);
      taken += bytes;
      begun = end;
      bytes = 0;
    };
    for (const [n, text] of texts.entries()) {
      const isFull = taken + bytes > limit;
      if (isFull || pendingBytes + bytes > mostPending) {
        put(n);
        begun++;
        const full = `a log takes ${Math.round(limit / 1e6)} MB of output`;
        overflow.take({ stream, text, time: at }, isFull ? full : "the log could not be written as fast");
        continue;
      }
      overflow.release();
      bytes += around + text.length;
      if (bytes > piece) put(n + 1);
    }
    put(texts.length);
  }

  /** Made for the first output: what is superseded while it waits has none, and decoders are dear. */
  const framers: Partial<Record<"stdout" | "stderr", ReturnType<typeof createFramer>>> = {};
  function framer(stream: "stdout" | "stderr") {
    framers[stream] ??= createFramer(redactor, now, (lines) => output(stream, lines));
    return framers[stream];
  }
  function boundary(): void {
    framers.stdout?.flush();
    framers.stderr?.flush();
    overflow.release();
  }

  function takeBatch(from: Place): { count: number; data: Buffer; after: Place } {
    const after = { ...from };
    const parts: Buffer[] = [];
    let length = 0;
    for (const { entry } of pending) {
      if (length > batch) break;
      const part = Buffer.from(toRecords(after, entry));
      length += part.length;
      parts.push(part);
    }
    return { count: parts.length, data: Buffer.concat(parts, length), after };
  }

  async function goOn(): Promise<Place> {
    const last = await slot(() => resume(path));
    size = last.size;
    taken += size;
    grown(size);
    return { id: last.id, line: last.line };
  }

  async function writeBatch(from: Place): Promise<void> {
    const { count, data, after } = takeBatch(from);
    await slot(() => append(path, size, data));
    place = after;
    size += data.length;
    for (const { bytes } of pending.splice(0, count)) pendingBytes -= bytes;
    grown(size);
  }

  async function work(): Promise<void> {
    busy(true);
    // What is said in one go is written in one go.
    await (gathering ? pause(gatherMs) : null);
    gathering = false;
    while (pending.length > 0 || (place === undefined && !closed)) {
      try {
        if (place === undefined) place = await goOn();
        else await writeBatch(place);
        failing = false;
        if (pendingBytes < highWater) hasRoom();
      } catch (error) {
        if (!failing) report(error);
        failing = true;
        hasRoom();
        if (closed) break;
        await pause(retryMs);
      }
    }
    working = undefined;
    busy(false);
  }

  function pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      goOnNow = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  function hasRoom(): void {
    for (const resolve of roomWaiters.splice(0)) resolve();
  }

  const settled = (): Promise<void> =>
    (pending.length === 0 && place !== undefined) || failing
      ? Promise.resolve()
      : new Promise<void>((resolve) => roomWaiters.push(resolve)).then(settled);

  // At once: followers of a log that an earlier process began are to see what it has written.
  working = work();

  const writer: LogWriter = {
    write: (stream, text) => framer(stream).write(text),
    drained: () =>
      pendingBytes < highWater || failing
        ? Promise.resolve()
        : new Promise((resolve) => roomWaiters.push(resolve)),
    say,
    step(name, status, durationMs, ownMs) {
      boundary();
      const times = {
        ...(durationMs !== undefined && { durationMs }),
        ...(ownMs !== undefined && { ownMs }),
      };
      push({ event: "step", name, status, ...times, time: time() }, around);
      step = status === "running" ? name : null;
    },
    status(status: DeployStatus) {
      boundary();
      push({ event: "status", status, time: time() }, around);
    },
    async flush() {
      boundary();
      hurry();
      await settled();
    },
  };
  return {
    writer,
    /**
     * The last of it is written if it can be; then nothing more is taken. What was superseded as soon as it
     * came leaves no file: the deploy itself says so, and a burst would leave thousands.
     */
    async close(): Promise<void> {
      boundary();
      if (gathering && !pending.some(({ entry }) => isOfRun(entry))) pending = [];
      closed = true;
      goOnNow?.();
      await working;
    },
  };
}

/** Does this belong to a deploy that was started? */
const isOfRun = (entry: Entry): boolean => entry.event !== "status" || entry.status === "running";
