import type { DeployStatus } from "../../domain/deploy.js";
import type { LogEvent, Stream } from "../../domain/ports.js";
import type { StepName, StepStatus } from "../../domain/step.js";

/** What happened, before it has a number. */
export type Entry = { time: string } & (
  | { event: "log"; step: StepName | null; stream: Stream; text: string }
  | { event: "step"; name: StepName; status: StepStatus; durationMs?: number; ownMs?: number }
  | { event: "status"; status: DeployStatus }
);

/** Where a log stands: the last event's id, and how many of the events were lines. */
export interface Place {
  id: number;
  line: number;
}

/** One line of the file. `id` and `line` come first: they are found without parsing the rest. */
type StoredRecord = Place & Entry;

export function toRecord(place: Place, entry: Entry): string {
  if (entry.event !== "log") return `${JSON.stringify({ ...place, ...entry })}\n`;
  // By hand: lines come by the hundred thousand, and this is a quarter of what that costs. All but the text is ours.
  const { step, stream, text, time } = entry;
  const whose = step === null ? "null" : `"${step}"`;
  return `{"id":${place.id},"line":${place.line},"event":"log","step":${whose},"stream":"${stream}","text":${JSON.stringify(text)},"time":"${time}"}\n`;
}

/** Undefined for what is no record: somebody else wrote into the file, or a disk lost it. */
export function toEvent(text: string): LogEvent | undefined {
  let record: StoredRecord;
  try {
    record = JSON.parse(text) as StoredRecord;
  } catch {
    return undefined;
  }
  if (record.event === "log") {
    const { id, line, time, step, stream, text } = record;
    return { id, event: "log", data: { line, text, stream, step, time } };
  }
  const { id, line: _, event, ...data } = record;
  return { id, event, data } as LogEvent;
}

export function placeOf(text: string): Place | undefined {
  const found = /^\{"id":(\d+),"line":(\d+),/.exec(text);
  return found ? { id: Number(found[1]), line: Number(found[2]) } : undefined;
}
