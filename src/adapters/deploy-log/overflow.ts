import type { Stream } from "../../domain/ports.js";

interface Line {
  stream: Stream;
  text: string;
  time: string;
}

/** How many of the last lines that were left out are shown after all: the end of a build says why it failed. */
const kept = 100;

/** Counts what a log cannot take, and keeps the end of it. */
export function createOverflow(say: (text: string) => void, put: (line: Line) => void) {
  let lines = 0;
  let why = "";
  let last: Line[] = [];
  return {
    take(line: Line, reason: string): void {
      lines++;
      why = reason;
      last.push(line);
      if (last.length > 2 * kept) last = last.slice(-kept);
    },
    /** Says what is missing, then shows the end of it. */
    release(): void {
      if (lines === 0) return;
      const shown = last.slice(-kept);
      const missing = lines - shown.length;
      lines = 0;
      last = [];
      if (missing > 0) say(`[${missing} lines are left out here: ${why}; the last ${shown.length} follow]`);
      for (const line of shown) put(line);
    },
  };
}
