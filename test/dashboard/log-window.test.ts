import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createLogWindow, createSearch } from "../../src/dashboard/page/log-window.js";

const line = (number: number, text: string) => ({ line: number, text, stream: "stdout", step: "build" });
const filled = (texts: string[], limit?: number) => {
  const log = createLogWindow({ limit });
  for (const [index, text] of texts.entries()) log.push(line(index + 1, text));
  return log;
};

describe("a log's window", () => {
  it("is a row for each line when nothing is wrapped", () => {
    const log = filled(["a", "b".repeat(500), "c"]);
    expect([log.count, log.rows]).toEqual([3, 3]);
    expect(log.view(1, 5)).toEqual([
      { row: 1, index: 1, from: 0, to: 500 },
      { row: 2, index: 2, from: 0, to: 1 },
    ]);
    expect(log.view(-3, 4).map(({ row }) => row)).toEqual([0]);
    expect(filled([]).view(0, 10)).toEqual([]);
  });

  it("gives a long line as many rows as it needs, and colours need none", () => {
    const log = filled(["a", `\u001b[31m${"b".repeat(25)}\u001b[0m`, "c"]);
    log.wrapAt(10);
    expect(log.rows).toBe(5);
    expect(log.view(2, 3)).toEqual([
      { row: 2, index: 1, from: 10, to: 20 },
      { row: 3, index: 1, from: 20, to: 25 },
      { row: 4, index: 2, from: 0, to: 1 },
    ]);
    expect(log.rowOf(2)).toBe(4);
    log.push(line(4, "d".repeat(11)));
    expect(log.rows).toBe(7);
    log.wrapAt(0);
    expect(log.rows).toBe(4);
  });

  it("forgets the oldest lines beyond its limit, and says how many", () => {
    const log = filled(
      Array.from({ length: 105 }, (_, index) => `line ${index + 1}`),
      100,
    );
    expect([log.count, log.dropped, log.rows]).toEqual([95, 10, 95]);
    expect(log.at(0)).toMatchObject({ number: 11, text: "line 11" });
    expect([log.indexOf(5), log.indexOf(20), log.indexOf(900)]).toEqual([0, 9, 94]);
  });

  it("shows every character of every line once, whatever the width", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 90 }), { minLength: 1, maxLength: 60 }),
        fc.integer({ min: 0, max: 40 }),
        fc.integer({ min: 1, max: 7 }),
        (lengths, columns, height) => {
          const log = filled(lengths.map((length) => "x".repeat(length)));
          log.wrapAt(columns);
          const seen = lengths.map(() => 0);
          let rows = 0;
          for (let top = 0; top < log.rows; top += height) {
            for (const { row, index, from, to } of log.view(top, height)) {
              expect(row).toBe(rows++);
              expect(from).toBe(seen[index]);
              seen[index] = to;
            }
          }
          expect(rows).toBe(log.rows);
          expect(seen).toEqual(lengths);
        },
      ),
    );
  });

  it("gives its text without colours", () => {
    expect(filled(["a", "\u001b[1mb\u001b[0m"]).text()).toBe("a\nb");
  });
});

describe("a search", () => {
  const log = filled(["Error: one", "fine", "\u001b[31merr\u001b[0mor two", "a.b", "axb"]);
  const search = (words: string) => {
    const one = createSearch(words);
    for (let i = 0; i < log.count; i++) one.add(log.at(i) ?? { number: 0, text: "", stream: "", step: null });
    return one;
  };

  it("finds words literally, letter case and colours aside", () => {
    expect(search("error").found).toEqual([1, 3]);
    expect(search("a.b").found).toEqual([4]);
    expect(search("").found).toEqual([]);
    expect(search("(").found).toEqual([]);
    expect(
      search("err").marks({ number: 3, text: "\u001b[31merr\u001b[0mor err", stream: "", step: null }),
    ).toEqual([
      [0, 3],
      [6, 9],
    ]);
  });

  it("goes round", () => {
    const found = search("error");
    expect([found.next(0, 1), found.next(1, 1), found.next(3, 1)]).toEqual([1, 3, 1]);
    expect([found.next(3, -1), found.next(1, -1)]).toEqual([1, 3]);
    expect(search("nothing").next(0, 1)).toBeUndefined();
  });
});
