import { expect, test } from "vitest";
import { createSweep } from "../../src/daemon/sweep.js";
import { Fault } from "../../src/domain/fault.js";

test("what cannot be removed is reported when that begins or changes; the others are swept all the same", async () => {
  let stuck: string | undefined;
  let swept = 0;
  const reported: string[] = [];
  const first = async (): Promise<void> => {
    if (stuck) throw new Fault("not_removed", stuck, "Remove it.");
  };
  const second = async (): Promise<void> => void swept++;
  const sweep = createSweep([{ sweep: first }, { sweep: second }], (error) =>
    reported.push((error as Fault).message),
  );
  for (stuck of [undefined, "one", "one", "two", "two", undefined, "two"]) await sweep();
  expect(reported).toEqual(["one", "two", "two"]);
  expect(swept).toBe(7);
});
