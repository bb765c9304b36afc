import { expect, test } from "vitest";
import { createTogether } from "../../src/queue/together.js";

/** A disk that syncs when the test says so. */
function bench() {
  const seen: string[] = [];
  const syncs: { resolve(): void; reject(error: Error): void }[] = [];
  const together = createTogether<string>({
    transaction(work) {
      work();
      seen.push("stored");
    },
    synced: () => new Promise((resolve, reject) => syncs.push({ resolve, reject })),
    syncNow: () => void seen.push("synced at once"),
    after: (value) => void seen.push(`told of ${value}`),
  });
  const synced = async () => {
    await expect.poll(() => syncs.length).toBeGreaterThan(0);
    return syncs.shift();
  };
  return { seen, together, synced };
}

test("nobody is told before it is durable; what comes during a sync shares the next", async () => {
  const { seen, together, synced } = bench();
  const first = together.add(() => "1");
  const sync = await synced();
  expect(seen).toEqual(["stored"]);
  const others = Promise.all([together.add(() => "2"), together.add(() => "3")]);
  sync?.resolve();
  expect(await first).toBe("1");
  const next = await synced();
  expect(seen).toEqual(["stored", "told of 1", "stored"]);
  next?.resolve();
  expect(await others).toEqual(["2", "3"]);
  expect(seen.slice(3)).toEqual(["told of 2", "told of 3"]);
});

test("settling makes durable at once what is stored, and it is told of once", async () => {
  const { seen, together, synced } = bench();
  const first = together.add(() => "1");
  const sync = await synced();
  together.settle();
  expect(seen).toEqual(["stored", "synced at once", "told of 1"]);
  expect(await first).toBe("1");
  sync?.resolve();
  const second = together.add(() => "2");
  (await synced())?.resolve();
  await second;
  expect(seen.slice(3)).toEqual(["stored", "told of 2"]);
});

test("a disk that cannot sync fails those who waited for it, and nobody after", async () => {
  const { seen, together, synced } = bench();
  const first = together.add(() => "1");
  (await synced())?.reject(new Error("the disk is gone"));
  await expect(first).rejects.toThrow("the disk is gone");
  const second = together.add(() => "2");
  (await synced())?.resolve();
  expect(await second).toBe("2");
  expect(seen).toEqual(["stored", "stored", "told of 2"]);
});
