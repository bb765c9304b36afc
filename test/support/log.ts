import { StringDecoder } from "node:string_decoder";
import type { LogWriter } from "../../src/domain/ports.js";

export interface MemoryLog extends LogWriter {
  /** What the command wrote, and dropless's own lines. */
  text(): string;
  lines(): string[];
  /** Step boundaries as `name:status`. */
  steps: string[];
}

/** A log that is only a text in memory, for tests of what writes to one. */
export function memoryLog(): MemoryLog {
  let text = "";
  const decoders = { stdout: new StringDecoder(), stderr: new StringDecoder() };
  const steps: string[] = [];
  return {
    steps,
    text: () => text,
    lines: () => text.split("\n"),
    write: (stream, part) => {
      text += typeof part === "string" ? part : decoders[stream].write(Buffer.from(part));
    },
    drained: async () => {},
    say: (line) => {
      text += `${text === "" || text.endsWith("\n") ? "" : "\n"}${line}\n`;
    },
    step: (name, status) => void steps.push(`${name}:${status}`),
    status: () => {},
    flush: async () => {},
  };
}
