import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { type Database, openDatabase } from "../../../src/adapters/sqlite/driver.js";
import { migrate } from "../../../src/adapters/sqlite/migrations.js";
import { openStore } from "../../../src/adapters/sqlite/store.js";
import type { Queued } from "../../../src/domain/deploy.js";
import { started, superseded } from "../../../src/queue/transitions.js";
import { hashOf, sha } from "../../queue/bench.js";
import { tempDir } from "../../support/temp.js";

const deploy = (n: number, app = "api"): Queued => ({
  id: `d${n}`,
  app,
  status: "queued",
  trigger: "push",
  ref: "refs/heads/main",
  commit: { sha: sha(n), message: "m", author: "a" },
  standsFor: [sha(n)],
  createdAt: new Date(n).toISOString(),
  attempt: 1,
});

function store(dir = tempDir("store")) {
  const opened = openStore(dir);
  onTestFinished(() => {
    try {
      opened.close();
    } catch {
      // The test has closed it itself.
    }
  });
  return opened;
}

test("only its owner can read what it writes", () => {
  const dir = tempDir("store");
  chmodSync(dir, 0o755);
  store(dir).add(deploy(1), { tokenSha256: "t1" });
  for (const name of readdirSync(dir).filter((it) => it.startsWith("dropless.db")))
    expect(statSync(join(dir, name)).mode & 0o077).toBe(0);
});

test("what was stored is there after a restart", () => {
  const dir = tempDir("store");
  const first = store(dir);
  first.add(deploy(1), { tokenSha256: "t1" });
  first.setApp("api", { hold: { reason: "r", by: "alice", since: "s" } });
  first.close();
  const second = store(dir);
  expect(second.get("d1")).toEqual(deploy(1));
  expect(second.tokenOwner("t1")).toBe("d1");
  expect(second.app("api").hold?.reason).toBe("r");
});

test("two running deploys are impossible, whatever the queue does", () => {
  const s = store();
  s.add(deploy(1), { tokenSha256: "t1" });
  s.add(deploy(2, "web"), { tokenSha256: "t2" });
  s.update(started(deploy(1), [], 0));
  expect(() => s.update(started(deploy(2, "web"), [], 0))).toThrow(/UNIQUE/);
  expect(s.running()?.id).toBe("d1");
});

test("a transaction is all or nothing", () => {
  const s = store();
  expect(() =>
    s.transaction(() => {
      s.add(deploy(1), { tokenSha256: "t1" });
      s.transaction(() => s.add(deploy(2), { tokenSha256: "t2" }));
      throw new Error("no");
    }),
  ).toThrow("no");
  expect(s.waiting()).toEqual([]);
  s.add(deploy(1), { tokenSha256: "t1" });
  expect(s.waiting()).toHaveLength(1);
});

test("pages go through everything once, newest first, whatever the ids say", () => {
  const s = store();
  const order = [5, 3, 9, 1, 7];
  for (const n of order) s.add(deploy(n, n === 9 ? "web" : "api"), { tokenSha256: `t${n}` });
  const ids: string[] = [];
  let before: string | undefined;
  do {
    const page = s.list({ limit: 2, before });
    ids.push(...page.deploys.map(({ id }) => id));
    before = page.next;
  } while (before !== undefined);
  expect(ids).toEqual([7, 1, 9, 3, 5].map((n) => `d${n}`));
  expect(s.list({ app: "web", limit: 5 }).deploys.map(({ id }) => id)).toEqual(["d9"]);
  expect(s.list({ app: "api", status: "queued", limit: 1 })).toMatchObject({ next: "d7" });
  expect(s.list({ status: "running", limit: 5 })).toEqual({ deploys: [] });
  expect(s.list({ limit: 5, before: "unknown" })).toEqual({ deploys: [] });
});

test("heirs are followed to the last one", () => {
  const s = store();
  for (const n of [1, 2, 3]) s.add(deploy(n), { tokenSha256: `t${n}`, place: 1 });
  s.update(superseded(deploy(1), "d2", 0));
  s.update(superseded(deploy(2), "d3", 0));
  expect(["d1", "d2", "d3", "d4"].map((id) => s.isHeir("d2", id))).toEqual([false, true, true, false]);
  expect(s.lastHeir("d1")?.id).toBe("d3");
  expect(s.lastHeir("d4")).toBeUndefined();
  expect(s.standsFor("d3")).toEqual([sha(3), sha(2), sha(1)]);
  expect(s.standsFor("d2")).toEqual([sha(2), sha(1)]);
});

test("with 100,000 deploys, listing, claiming and knowing a delivery again stay quick", () => {
  const s = store();
  const total = 100_000;
  s.transaction(() => {
    for (let n = 0; n < total; n++) {
      const delivery = { id: `g${n}`, bodySha256: hashOf(`b${n}`) };
      s.add(deploy(n, `app${n % 5}`), { tokenSha256: `t${n}`, delivery });
      if (n < total - 20) s.update(superseded(deploy(n, `app${n % 5}`), `d${n}x`, 0));
    }
  });
  const begun = performance.now();
  for (let i = 0; i < 1000; i++) {
    expect(s.waiting()).toHaveLength(20);
    expect(s.list({ app: "app3", status: "superseded", limit: 20, before: "d50000" }).deploys).toHaveLength(
      20,
    );
    expect(s.list({ limit: 20 }).deploys).toHaveLength(20);
    expect(s.remembered("app3", { id: "g13", bodySha256: hashOf("none") })?.id).toBe("d13");
    expect(s.tokenOwner("t77777")).toBe("d77777");
    expect(s.running()).toBeUndefined();
  }
  // Less than a second on an idle machine; with scans of the table it would be minutes.
  expect(performance.now() - begun).toBeLessThan(60_000);
}, 300_000);

test("a store from a newer dropless is refused and left alone", () => {
  const dir = tempDir("store");
  store(dir).close();
  const db = openDatabase(join(dir, "dropless.db"));
  db.exec("PRAGMA user_version = 999");
  db.close();
  expect(() => openStore(dir)).toThrow(expect.objectContaining({ code: "store_newer" }));
  // The refusal has let go of the folder.
  expect(() => openStore(dir)).toThrow(expect.objectContaining({ code: "store_newer" }));
});

test("an older store is migrated, step by step, and keeps what it has", () => {
  const db = openDatabase(join(tempDir("store"), "a.db"));
  const steps = ["CREATE TABLE a (x)", "ALTER TABLE a ADD COLUMN y DEFAULT 7", "UPDATE a SET y = y + 1"];
  migrate(db, steps.slice(0, 1));
  db.exec("INSERT INTO a (x) VALUES (1)");
  migrate(db, steps);
  migrate(db, steps);
  expect({ ...db.prepare("SELECT * FROM a").get() }).toEqual({ x: 1, y: 8 });
  // A migration that fails leaves nothing behind.
  expect(() => migrate(db, [...steps, "INSERT INTO a VALUES (2, 2); broken"])).toThrow();
  expect(db.prepare("SELECT * FROM a").all()).toHaveLength(1);
  db.close();
});

test("something else in the store's place is named as such", () => {
  const dir = tempDir("store");
  writeFileSync(
    join(dir, "dropless.db"),
    "this is no database, and long enough to be read as one".repeat(50),
  );
  expect(() => openStore(dir)).toThrow(expect.objectContaining({ code: "store_damaged" }));
});

test("the log of writes is as large before SQLite itself empties it, whatever pages the store was made with", () => {
  const opened = (dir: string) => {
    let db: Database | undefined;
    const store = openStore(dir, (path) => {
      db = openDatabase(path);
      return db;
    });
    onTestFinished(() => store.close());
    const pragma = (name: string) => Number(db?.prepare(`PRAGMA ${name}`).get()?.[name]);
    return { page: pragma("page_size"), log: pragma("page_size") * pragma("wal_autocheckpoint") };
  };
  const older = tempDir("store");
  const db = openDatabase(join(older, "dropless.db"));
  db.exec("PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA user_version = 0");
  db.close();
  expect(opened(tempDir("store"))).toEqual({ page: 2048, log: 32_768_000 });
  expect(opened(older)).toEqual({ page: 4096, log: 32_768_000 });
});

test("a data folder that cannot be made is a clear fault", () => {
  const dir = tempDir("store");
  writeFileSync(join(dir, "file"), "");
  expect(() => openStore(join(dir, "file", "data"))).toThrow(
    expect.objectContaining({ code: "data_dir_unusable" }),
  );
});

test("a second store on one data folder is refused by name, until the first is closed", () => {
  const dir = tempDir("store");
  const first = store(dir);
  expect(() => openStore(dir)).toThrow(
    expect.objectContaining({
      code: "data_dir_in_use",
      message: expect.stringContaining(`pid ${process.pid}`),
    }),
  );
  first.close();
  store(dir);
});

test("what keeps others out is for its user alone, also where an earlier version or a kill left it otherwise", () => {
  const dir = tempDir("store");
  writeFileSync(join(dir, "lock.pid"), "1\n", { mode: 0o644 });
  writeFileSync(join(dir, "lock.db"), "", { mode: 0o644 });
  store(dir);
  for (const name of ["dropless.db", "lock.db", "lock.pid"])
    expect([name, statSync(join(dir, name)).mode & 0o777]).toEqual([name, 0o600]);
});

test("a holder in another process is named; killed with -9, it leaves no lock behind", async () => {
  const dir = tempDir("store");
  const sqlite = createRequire(import.meta.url).resolve("@photostructure/sqlite");
  // What lock.ts does, by hand: the sources are TypeScript, which the child cannot read on every Node.
  const code = `
    const { DatabaseSync } = process.getBuiltinModule?.("node:sqlite") ?? require(${JSON.stringify(sqlite)});
    const db = new DatabaseSync(${JSON.stringify(join(dir, "lock.db"))});
    db.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
    require("node:fs").writeFileSync(${JSON.stringify(join(dir, "lock.pid"))}, String(process.pid));
    console.log("held");
    setInterval(() => db, 1000);`;
  const child = spawn(process.execPath, ["-e", code], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit");
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await exited;
  });
  await once(child.stdout, "data");
  expect(() => openStore(dir)).toThrow(
    expect.objectContaining({
      code: "data_dir_in_use",
      message: expect.stringContaining(`pid ${child.pid}`),
    }),
  );
  child.kill("SIGKILL");
  await exited;
  store(dir);
});

test("the line is known without asking, and as the database has it after what was taken back", () => {
  const s = store();
  s.add(deploy(1), { tokenSha256: "t1" });
  expect(s.waiting("api").map(({ deploy }) => deploy.id)).toEqual(["d1"]);
  expect(() =>
    s.transaction(() => {
      s.add(deploy(2, "web"), { tokenSha256: "t2" });
      s.setApp("api", { hold: { reason: "r", by: "alice", since: "s" } });
      expect(s.waiting()).toHaveLength(2);
      expect(s.app("api").hold?.reason).toBe("r");
      throw new Error("taken back");
    }),
  ).toThrow("taken back");
  expect(s.waiting()).toEqual([{ deploy: deploy(1), place: 1 }]);
  expect(s.app("api")).toEqual({});
  expect(s.position("d1")).toBe(1);
  expect(s.position("d2")).toBeUndefined();
});

test("what is written to the log moves into the database while nobody waits for it", async () => {
  const dir = tempDir("store");
  const s = store(dir);
  const before = statSync(join(dir, "dropless.db")).size;
  for (let n = 1; n <= 120; n++) s.transaction(() => s.add(deploy(n), { tokenSha256: `t${n}` }));
  await expect
    .poll(() => statSync(join(dir, "dropless.db")).size, { timeout: 60_000 })
    .toBeGreaterThan(before);
});

test("what a transaction adds is found in it at once, and is stored as what it has become by its end", () => {
  const dir = tempDir("store");
  const first = store(dir);
  const delivery = { id: "x1", bodySha256: hashOf("b1") };
  first.add(deploy(1), { tokenSha256: "t1" });
  first.transaction(() => {
    first.add(deploy(2), { tokenSha256: "t2", place: 1, delivery });
    expect(first.remembered("api", { id: "other", bodySha256: hashOf("b1") })?.id).toBe("d2");
    first.add(deploy(3), { tokenSha256: "t3", place: 1 });
    first.update(superseded(deploy(2), "d3", 3));
    first.update(superseded(deploy(3), "d4", 3));
    first.add(deploy(4), { tokenSha256: "t4", place: 1 });
    expect(first.tokenOwner("t3")).toBe("d3");
    expect(first.list({ limit: 9 }).deploys.map(({ id }) => id)).toEqual(["d4", "d3", "d2", "d1"]);
  });
  expect(() =>
    first.transaction(() => {
      first.add(deploy(5), { tokenSha256: "t5" });
      throw new Error("taken back");
    }),
  ).toThrow("taken back");
  first.add(deploy(6), { tokenSha256: "t6" });
  first.close();
  const second = store(dir);
  expect(second.list({ limit: 9 }).deploys.map(({ id, status }) => [id, status])).toEqual([
    ["d6", "queued"],
    ["d4", "queued"],
    ["d3", "superseded"],
    ["d2", "superseded"],
    ["d1", "queued"],
  ]);
  expect(second.remembered("api", { id: "x1", bodySha256: hashOf("other") })?.id).toBe("d2");
  expect(second.isHeir("d2", "d4")).toBe(true);
  expect(second.waiting().map(({ deploy, place }) => [deploy.id, place])).toEqual([
    ["d1", 1],
    ["d4", 1],
    ["d6", 5],
  ]);
});
