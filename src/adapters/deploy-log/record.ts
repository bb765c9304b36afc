import type { DeployStatus } from "../../domain/deploy.js";
import type { LogEvent, Stream } from "../../domain/ports.js";
import type { StepName, StepStatus } from "../../domain/step.js";

/** What happened, before it has a number; of lines many at once, without line ends. */
export type Entry = { time: string } & (
  | { event: "log"; step: StepName | null; stream: Stream; lines: string[] }
  | { event: "step"; name: StepName; status: StepStatus; durationMs?: number; ownMs?: number }
  | { event: "status"; status: DeployStatus }
);

/** Where a log stands: the last event's id, and how many of the events were lines. */
export interface Place {
  id: number;
  line: number;
}

/** One line of the file. `id` and `line` come first: they are found without parsing the rest. */
type StoredRecord = Place &
  (
    | Exclude<Entry, { event: "log" }>
    | { event: "log"; step: StepName | null; stream: Stream; text: string; time: string }
  );

/** No line holds it, and JSON writes it as it is. */
const between = "\u007f";

/** The records of an entry, numbered from behind `place`, which goes on with them. */
export function toRecords(place: Place, entry: Entry): string {
  if (entry.event !== "log") {
    place.id++;
    return `${JSON.stringify({ ...place, ...entry })}\n`;
  }
  // By hand, and escaped all at once: lines come by the hundred thousand. All but the texts is ours.
  const { step, stream, lines, time } = entry;
  const whose = step === null ? "null" : `"${step}"`;
  const before = `,"event":"log","step":${whose},"stream":"${stream}","text":"`;
  const behind = `","time":"${time}"}\n`;
  let { id, line } = place;
  let records = "";
  for (const text of JSON.stringify(lines.join(between)).slice(1, -1).split(between))
    records += `{"id":${++id},"line":${++line}${before}${text}${behind}`;
  place.id = id;
  place.line = line;
  return records;
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
