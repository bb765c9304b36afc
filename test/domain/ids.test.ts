import { expect, test } from "vitest";
import { createIds, isDeployId } from "../../src/domain/ids.js";

test("ids of one millisecond sort by age, also from the highest random number on", () => {
  const ids = createIds(
    () => 1_800_000_000_000,
    (count) => Buffer.alloc(count, 0xff),
  );
  const made = Array.from({ length: 20_000 }, ids);
  expect([...made].sort()).toEqual(made);
  expect(new Set(made).size).toBe(made.length);
  expect(made.every(isDeployId)).toBe(true);
});

test("who starts with the last id goes on behind it, though the clock was set back", () => {
  let clock = 1_800_000_000_000;
  const before = createIds(() => clock);
  const last = [before(), before()].at(-1) ?? "";
  clock -= 86_400_000;
  const after = createIds(() => clock, undefined, last);
  const next = after();
  expect(next > last && next.slice(0, 10) === last.slice(0, 10)).toBe(true);
  clock += 2 * 86_400_000;
  expect(after() > next).toBe(true);
});
