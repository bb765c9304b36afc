import fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createLater } from "../../../src/adapters/sqlite/later.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Work in rounds: what comes while one is under way is left for the next. */
function bench() {
  let left = 0;
  let round: number | undefined;
  let failing = false;
  const pieces: number[] = [];
  const later = createLater({
    isLeft: () => left > 0,
    work() {
      pieces.push(Date.now());
      if (failing) throw new Error("no");
      round ??= left;
      const done = Math.min(round, 3);
      round -= done;
      left -= done;
      later.written(false);
      if (round === 0) round = undefined;
      return round !== undefined;
    },
  });
  return {
    later,
    pieces,
    left: () => left,
    fail: (does: boolean) => {
      failing = does;
    },
    write(isUrgent = false) {
      left++;
      later.written(isUrgent);
    },
  };
}

test("it waits until nothing has been written for a second, unless it is urgent", () => {
  const b = bench();
  for (let i = 0; i < 50; i++) {
    b.write();
    vi.advanceTimersByTime(100);
  }
  expect(b.pieces).toEqual([]);
  vi.advanceTimersByTime(2_000);
  expect([b.pieces.length, b.left(), vi.getTimerCount()]).toEqual([17, 0, 0]);
  b.write(true);
  vi.advanceTimersByTime(10);
  expect(b.left()).toBe(0);
});

test("whatever is written and fails when, all is done in the end, and then nothing runs", () => {
  const step = fc.record({
    does: fc.constantFrom("write", "urgent", "fail", "work", "wait", "wait"),
    ms: fc.integer({ min: 0, max: 3_000 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const b = bench();
      for (const { does, ms } of steps) {
        if (does === "write" || does === "urgent") b.write(does === "urgent");
        else if (does === "wait") vi.advanceTimersByTime(ms);
        else b.fail(does === "fail");
      }
      b.fail(false);
      vi.advanceTimersByTime(120_000);
      expect([b.left(), vi.getTimerCount()]).toEqual([0, 0]);
    }),
    { numRuns: 2_000 },
  );
});

test("what fails is not tried again and again", () => {
  const b = bench();
  b.fail(true);
  b.write();
  vi.advanceTimersByTime(301_000);
  expect(b.pieces.length).toBeLessThanOrEqual(11);
  expect(b.pieces.length).toBeGreaterThanOrEqual(10);
});
