import { createRequire } from "node:module";
import { expect, onTestFinished, test } from "vitest";
import { type Database, openDatabase } from "../../../src/adapters/sqlite/driver.js";
import { openStore } from "../../../src/adapters/sqlite/store.js";
import { createIds } from "../../../src/domain/ids.js";
import type { DeployLogs } from "../../../src/domain/ports.js";
import { createQueue } from "../../../src/queue/queue.js";
import { delivery, push } from "../../queue/bench.js";
import { tempDir } from "../../support/temp.js";

const logs = {
  open: () => ({ say() {}, status() {}, step() {} }),
  close: async () => {},
} as unknown as DeployLogs;

test("a full disk: what cannot be stored is refused, what was acknowledged stays, and it goes on by itself", async () => {
  const dir = tempDir("full");
  let db: Database | undefined;
  const store = openStore(dir, (path) => {
    const opened = openDatabase(path);
    if (path.endsWith("dropless.db")) db = opened;
    return opened;
  });
  onTestFinished(() => store.close());
  const reported: unknown[] = [];
  const queue = createQueue({
    store,
    logs,
    ids: createIds(),
    isApp: () => true,
    run: async () => ({ status: "succeeded" }),
    retryMs: 5,
    report: (error) => void reported.push(error),
  });
  // SQLite's own limit makes it fail as a full disk does, with the very same code.
  const pages = Number(db?.prepare("PRAGMA page_count").get()?.page_count);
  db?.exec(`PRAGMA max_page_count = ${pages + 20}`);
  const unwritable = expect.objectContaining({ code: "store_unwritable" });
  const kept: string[] = [];
  let n = 0;
  try {
    for (; n < 5000; n++)
      for (const it of queue.deliver(delivery(`d${n}`), [push(n, "api"), push(n, "web")]))
        if (it.kind === "queued") kept.push(it.deploy.id);
  } catch (error) {
    expect(error).toEqual(unwritable);
  }
  expect(n).toBeLessThan(5000);
  const later = delivery("later");
  await expect(queue.deliverSoon(later, [push(1), push(1, "web")])).rejects.toEqual(unwritable);
  // All of a delivery, or nothing of it.
  for (const id of kept) expect(queue.get(id)).toBeDefined();
  let listed = 0;
  for (let before: string | undefined, more = true; more; ) {
    const page = queue.list({ limit: 100, before });
    listed += page.deploys.length;
    before = page.next;
    more = before !== undefined;
  }
  expect(listed).toBe(kept.length);
  queue.start();
  db?.exec("PRAGMA max_page_count = 100000");
  expect(queue.deliver(later, [push(1)])[0]?.kind).toBe("queued");
  await expect.poll(() => store.waiting().length, { timeout: 60_000 }).toBe(0);
  await queue.stop({ graceMs: 60_000 });
});

test("the package and Node's own SQLite read each other's stores", () => {
  const dir = tempDir("drivers");
  const sqlite = createRequire(import.meta.url)("@photostructure/sqlite") as {
    DatabaseSync: new (path: string) => Database;
  };
  const open = (path: string): Database => new sqlite.DatabaseSync(path);
  const one = openStore(dir, open);
  one.setApp("api", { hold: { reason: "r", by: "b", since: "s" } });
  expect(() => openStore(dir, open)).toThrow(expect.objectContaining({ code: "data_dir_in_use" }));
  one.close();
  // On Node 20 these are one and the same.
  const two = openStore(dir);
  expect(two.app("api").hold?.reason).toBe("r");
  two.close();
});
