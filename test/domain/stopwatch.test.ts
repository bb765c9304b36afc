import { expect, test } from "vitest";
import { createStopwatch } from "../../src/domain/stopwatch.js";

test("what goes on at the same time counts once, and what never began counts nothing", async () => {
  let now = 100;
  const stopwatch = createStopwatch(() => now);
  expect(stopwatch.ms()).toBe(0);
  const first = stopwatch.begin();
  now += 10;
  const second = stopwatch.begin();
  now += 5;
  first();
  first();
  now += 3;
  expect(stopwatch.ms()).toBe(18);
  second();
  now += 1000;
  expect(stopwatch.ms()).toBe(18);
  await expect(
    stopwatch.during(async () => {
      now += 2;
      throw new Error("no");
    }),
  ).rejects.toThrow("no");
  now += 1000;
  expect(stopwatch.ms()).toBe(20);
});
