/**
 * A log as rows of a fixed height, of which only a window is ever on the page: the arithmetic, without a DOM.
 * A line is one row, or as many as its text needs at the current width.
 */
import { clean, plain } from "./ansi.js";

/** @typedef {{ number: number, text: string, stream: string, step: string | null }} Line */

/**
 * `limit` bounds the memory: beyond it the oldest lines go, a tenth at a time.
 * @param {{ limit?: number }} [options]
 */
export function createLogWindow({ limit = 500_000 } = {}) {
  /** @type {Line[]} */
  let lines = [];
  /** Characters of each line's plain text. @type {number[]} */
  let lengths = [];
  /** The row each line begins at. @type {number[]} */
  let starts = [];
  let rows = 0;
  let columns = 0;
  let dropped = 0;

  /** @param {number} length */
  const rowsOf = (length) => (columns > 0 && length > columns ? Math.ceil(length / columns) : 1);

  const layOut = () => {
    rows = 0;
    starts = lengths.map((length) => {
      const start = rows;
      rows += rowsOf(length);
      return start;
    });
  };

  return {
    /** @param {{ line: number, text: string, stream: string, step: string | null }} event */
    push({ line, text, stream, step }) {
      const shown = clean(text);
      const { length } = plain(shown);
      lines.push({ number: line, text: shown, stream, step });
      lengths.push(length);
      starts.push(rows);
      rows += rowsOf(length);
      if (lines.length <= limit) return;
      const many = Math.ceil(limit / 10);
      dropped += many;
      lines = lines.slice(many);
      lengths = lengths.slice(many);
      layOut();
    },
    /** How many characters fit in a row; 0: lines are not wrapped. @param {number} count */
    wrapAt(count) {
      if (count === columns) return;
      columns = count;
      layOut();
    },
    get rows() {
      return rows;
    },
    get count() {
      return lines.length;
    },
    /** Lines that are no longer here. */
    get dropped() {
      return dropped;
    },
    /** @param {number} index @returns {Line | undefined} */
    at: (index) => lines[index],
    /** @param {number} index */
    rowOf: (index) => starts[index] ?? 0,
    /** The index of a line by its number; the nearest one when it is not here. @param {number} number */
    indexOf(number) {
      const first = lines[0]?.number ?? 1;
      return Math.max(0, Math.min(lines.length - 1, number - first));
    },
    /**
     * What is to be seen in `count` rows from `first` on: line index, and which characters of it.
     * @param {number} first @param {number} count
     */
    view(first, count) {
      /** @type {{ row: number, index: number, from: number, to: number }[]} */
      const seen = [];
      const end = Math.min(rows, first + count);
      let index = find(starts, Math.max(0, first));
      for (let row = Math.max(0, first); row < end; row++) {
        while (index + 1 < starts.length && (starts[index + 1] ?? 0) <= row) index++;
        const part = row - (starts[index] ?? 0);
        const length = lengths[index] ?? 0;
        const wraps = columns > 0 && length > columns;
        seen.push({
          row,
          index,
          from: wraps ? part * columns : 0,
          to: wraps ? Math.min(length, (part + 1) * columns) : length,
        });
      }
      return seen;
    },
    /** Everything as plain text. */
    text: () => lines.map((line) => plain(line.text)).join("\n"),
  };
}

/** The last index whose start is not behind `row`. @param {number[]} starts @param {number} row */
function find(starts, row) {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((starts[middle] ?? 0) <= row) low = middle;
    else high = middle - 1;
  }
  return low;
}

/**
 * A search that goes on as lines arrive: numbers of the lines that match, in order.
 * @param {string} words Taken literally, letter case aside; empty finds nothing.
 */
export function createSearch(words) {
  const pattern = words ? new RegExp(words.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "gi") : undefined;
  /** @type {number[]} */
  const found = [];
  return {
    found,
    /** @param {Line} line */
    add(line) {
      if (!pattern) return;
      pattern.lastIndex = 0;
      if (pattern.test(plain(line.text))) found.push(line.number);
    },
    /** Where in a line. @param {Line} line @returns {[number, number][]} */
    marks(line) {
      if (!pattern) return [];
      return [...plain(line.text).matchAll(pattern)].map((match) => [
        match.index,
        match.index + match[0].length,
      ]);
    },
    /**
     * The match after (1) or before (-1) a line; the first or last one beyond the end. Undefined without any.
     * @param {number} number @param {1 | -1} way
     */
    next(number, way) {
      if (way === 1) return found.find((one) => one > number) ?? found[0];
      return found.findLast((one) => one < number) ?? found[found.length - 1];
    },
  };
}
