import { expect, test } from "vitest";
import { createTogether } from "../../src/queue/together.js";

/** A store that takes as many transactions as it is told to, then fails until it is told again. */
function bench() {
  const seen: string[] = [];
  const disk = { full: false };
  const together = createTogether<string>({
    transaction(work) {
      work();
      if (disk.full) throw new Error("the disk is full");
      seen.push("durable");
    },
    after: (values) => void seen.push(...values.map((value) => `told of ${value}`)),
  });
  return { seen, disk, together };
}

test("what comes at one moment shares a transaction, and nobody is told before it is durable", async () => {
  const { seen, together } = bench();
  const all = Promise.all(["1", "2", "3"].map((one) => together(() => one)));
  expect(seen).toEqual([]);
  expect(await all).toEqual(["1", "2", "3"]);
  expect(seen).toEqual(["durable", "told of 1", "told of 2", "told of 3"]);
  await together(() => "4");
  expect(seen.slice(4)).toEqual(["durable", "told of 4"]);
});

test("what comes in one turn after the other joins in, but the first does not wait for ever", async () => {
  const { seen, together } = bench();
  const all: Promise<string>[] = [];
  let over = false;
  for (let n = 1; !over && n < 1000; n++) {
    all.push(together(() => `${n}`));
    void all[0]?.then(() => {
      over = true;
    });
    await new Promise(setImmediate);
  }
  const first = await Promise.all(all);
  expect(over && first.length > 1 && first.length < 20).toBe(true);
  expect(seen.indexOf("told of 2")).toBe(2);
});

test("one that fails takes nobody with it, and those of a full disk fail alone", async () => {
  const { seen, disk, together } = bench();
  const fails = together(() => {
    throw new Error("no such app");
  });
  const good = together(() => "2");
  await expect(fails).rejects.toThrow("no such app");
  expect(await good).toBe("2");
  disk.full = true;
  await expect(together(() => "3")).rejects.toThrow("the disk is full");
  disk.full = false;
  expect(await together(() => "4")).toBe("4");
  expect(seen).toEqual(["durable", "told of 2", "durable", "told of 4"]);
});
