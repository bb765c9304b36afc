import { EventEmitter, once } from "node:events";
import type { DeployLogs, LogEvent, LogPlace, LogWriter } from "../../src/domain/ports.js";

/** Logs in memory that keep the port's promises, for tests of what reads them. */
export function memoryLogs(): DeployLogs {
  const all = new Map<string, { events: LogEvent[]; open: boolean }>();
  const changed = new EventEmitter().setMaxListeners(0);
  const of = (id: string) => {
    const found = all.get(id) ?? { events: [], open: true };
    all.set(id, found);
    return found;
  };
  const add = (id: string, event: LogEvent["event"], data: object) => {
    const log = of(id);
    log.events.push({ id: log.events.length + 1, event, data } as LogEvent);
    changed.emit("change");
  };
  const time = "2026-01-01T00:00:00.000Z";
  const line = (id: string, stream: string, text: string) => {
    const number = of(id).events.filter((one) => one.event === "log").length + 1;
    add(id, "log", { line: number, text, stream, step: null, time });
  };
  async function* batches(id: string, { after = 0, afterLine, follow, signal }: LogPlace) {
    let from = after;
    for (;;) {
      const log = of(id);
      const batch = log.events.filter(
        (one) =>
          one.id > from && (afterLine === undefined || one.event !== "log" || one.data.line > afterLine),
      );
      if (batch.length > 0) {
        from = batch.at(-1)?.id ?? from;
        yield batch;
      } else if (!follow || !log.open || signal?.aborted) return;
      else await once(changed, "change", { signal }).catch(() => {});
    }
  }
  return {
    open: (id): LogWriter => ({
      write: (stream, text) => line(id, stream, String(text)),
      say: (text) => line(id, "dropless", text),
      step: (name, status, durationMs) => add(id, "step", { name, status, durationMs, time }),
      status: (status) => add(id, "status", { status, time }),
      drained: async () => {},
      flush: async () => {},
    }),
    async *read(id, place) {
      for await (const batch of batches(id, place)) yield* batch;
    },
    async *encoded(id, place, encode) {
      for await (const batch of batches(id, place)) yield encode(batch);
    },
    tail: async (id, count) =>
      of(id)
        .events.flatMap((one) => (one.event === "log" ? [one.data.text] : []))
        .slice(-count),
    async close(id) {
      of(id).open = false;
      changed.emit("change");
    },
  };
}
