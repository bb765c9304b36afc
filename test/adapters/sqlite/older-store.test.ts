import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { type Database, openDatabase } from "../../../src/adapters/sqlite/driver.js";
import { migrate } from "../../../src/adapters/sqlite/migrations.js";
import { openStore } from "../../../src/adapters/sqlite/store.js";
import type { Deploy, Queued } from "../../../src/domain/deploy.js";
import { hashToken } from "../../../src/queue/tokens.js";
import { started, superseded } from "../../../src/queue/transitions.js";
import { sha } from "../../queue/bench.js";
import { tempDir } from "../../support/temp.js";

/** As dropless wrote its stores until version 2 of their schema; not to be changed. */
const version1 = `
  CREATE TABLE deploys (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    app TEXT NOT NULL,
    status TEXT NOT NULL,
    place INTEGER NOT NULL,
    sha TEXT NOT NULL,
    trigger TEXT NOT NULL,
    superseded_by TEXT,
    token_sha256 TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX one_running ON deploys (status) WHERE status = 'running';
  CREATE INDEX deploys_waiting ON deploys (place) WHERE status = 'queued';
  CREATE INDEX deploys_app ON deploys (app, seq);
  CREATE INDEX deploys_status ON deploys (status, seq);
  CREATE INDEX deploys_app_status ON deploys (app, status, seq);
  CREATE INDEX deploys_place ON deploys (place, seq);
  CREATE TABLE deliveries (
    app TEXT NOT NULL,
    id TEXT NOT NULL,
    body_sha256 TEXT NOT NULL,
    deploy TEXT NOT NULL REFERENCES deploys (id),
    UNIQUE (app, id, body_sha256)
  ) STRICT;
  CREATE INDEX deliveries_body ON deliveries (app, body_sha256);
  CREATE INDEX deliveries_deploy ON deliveries (deploy);
  CREATE TABLE apps (
    name TEXT PRIMARY KEY,
    state TEXT NOT NULL
  ) STRICT;
  PRAGMA user_version = 1`;

const queued = (n: number, app = "api"): Queued => ({
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
const body = (n: number) => n.toString(16).padStart(64, "0");
const hold = { reason: "r", by: "alice", since: "s" };
/** The token of the first is from before tokens had the deploy's id in front. */
const token = (n: number) => (n === 1 ? "no-id-in-front" : `d${n}.random`);

/** 1, 2 and 3 superseded one another, 3 runs; 4 is of another app and waits; 6 repeats 5, which failed. */
function olderStore(size = 6): string {
  const dir = tempDir("older");
  const db = openDatabase(join(dir, "dropless.db"));
  db.exec(`PRAGMA page_size = 1024; PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON; BEGIN; ${version1}`);
  const insert = db.prepare(
    `INSERT INTO deploys (seq, place, id, app, status, sha, trigger, token_sha256, superseded_by, body)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const remember = db.prepare(
    "INSERT OR REPLACE INTO deliveries (app, id, body_sha256, deploy) VALUES (?, ?, ?, ?)",
  );
  const add = (deploy: Deploy, seq: number, place: number) => {
    const { id, app, status, trigger, commit, standsFor: _, ...rest } = deploy;
    const by = ("supersededBy" in deploy && deploy.supersededBy) || null;
    const text = JSON.stringify({ id, app, status, trigger, commit, ...rest });
    insert.run(seq, place, id, app, status, commit.sha, trigger, hashToken(token(seq)), by, text);
    remember.run(app, `g${seq}`, body(seq), id);
  };
  add(superseded(queued(1), "d2", 0), 1, 1);
  add(superseded(queued(2), "d3", 0), 2, 1);
  add(started(queued(3), [], 0), 3, 1);
  add(queued(4, "web"), 4, 4);
  add({ ...queued(5, "jobs"), status: "failed", finishedAt: "f" }, 5, 5);
  add(
    {
      ...queued(6, "jobs"),
      status: "succeeded",
      finishedAt: "f",
      attempt: 2,
      repeats: "d5",
    },
    6,
    6,
  );
  for (let n = 7; n <= size; n++) add({ ...queued(n, "docs"), status: "succeeded", finishedAt: "f" }, n, n);
  db.prepare("UPDATE deliveries SET deploy = ? WHERE deploy = ?").run("d6", "d5");
  // One body under two ids, one id with two bodies: the last one counts.
  remember.run("api", "g1b", body(1), "d2");
  remember.run("api", "g2", body(22), "d3");
  db.prepare("INSERT INTO apps VALUES (?, ?)").run("api", JSON.stringify({ hold }));
  db.exec("COMMIT");
  db.close();
  return dir;
}

function opened(dir: string) {
  const store = openStore(dir);
  onTestFinished(() => store.close());
  return store;
}

function expectAllOf(dir: string): void {
  const store = opened(dir);
  const found = (app: string, id: string, hash: string) =>
    store.remembered(app, { id, bodySha256: hash })?.id;
  expect(store.list({ limit: 9 }).deploys.map(({ id }) => id)).toEqual(["d6", "d5", "d4", "d3", "d2", "d1"]);
  expect(store.list({ app: "api", limit: 9, before: "d3" }).deploys.map(({ id }) => id)).toEqual([
    "d2",
    "d1",
  ]);
  expect(store.get("d4")).toEqual(queued(4, "web"));
  expect(store.running()).toMatchObject({
    id: "d3",
    standsFor: [sha(3), sha(2), sha(1)],
  });
  expect(store.waiting()).toEqual([{ deploy: queued(4, "web"), place: 4 }]);
  expect(store.app("api")).toEqual({ hold });
  expect([1, 2, 3, 4, 5, 6].map((n) => store.tokenOwner(hashToken(token(n))))).toEqual(
    [1, 2, 3, 4, 5, 6].map((n) => `d${n}`),
  );
  for (const wrong of ["other", "d1.random", "d2.other", "d9.random", token(1).toUpperCase()])
    expect(store.tokenOwner(hashToken(wrong)), wrong).toBeUndefined();
  expect(["d1", "d3", "d4"].map((id) => store.isHeir("d1", id))).toEqual([true, true, false]);
  expect(store.lastHeir("d1")?.id).toBe("d3");
  // By the body, whatever the id; by the id, when the body is new; per app.
  expect(found("api", "new", body(1))).toBe("d2");
  expect(found("api", "g1", "new")).toBe("d1");
  expect(found("api", "g1b", "new")).toBe("d2");
  expect(found("api", "new", body(2))).toBe("d2");
  expect(found("api", "g2", "new")).toBe("d3");
  expect(found("api", "g2", body(1))).toBe("d2");
  expect(found("web", "g1", body(1))).toBeUndefined();
  expect([found("jobs", "g5", "new"), found("jobs", "new", body(5))]).toEqual(["d6", "d6"]);
  // It goes on: after the last, and a delivery that is repeated once more leads to the newest from all sides.
  const delivery = { id: "g7", bodySha256: body(5) };
  store.add(queued(7, "jobs"), { tokenSha256: hashToken(token(7)), delivery, instead: "d6" });
  expect(store.list({ limit: 1 })).toMatchObject({
    deploys: [{ id: "d7" }],
    next: "d7",
  });
  expect(store.waiting().map(({ place }) => place)).toEqual([4, 7]);
  for (const [id, hash] of [
    ["g5", "new"],
    ["g6", "new"],
    ["new", body(5)],
    ["new", body(6)],
  ] as const)
    expect(found("jobs", id, hash)).toBe("d7");
}

const versionOf = (db: Database) => db.prepare("PRAGMA user_version").get()?.user_version;

test("everything that an older store has is found in it", () => {
  expectAllOf(olderStore());
});

test("a store that could not be brought up to date for want of room is as it was, and is when there is some", () => {
  const dir = olderStore(2000);
  const cramped = (path: string): Database => {
    const db = openDatabase(path);
    if (!path.endsWith("dropless.db")) return db;
    // It cannot grow: SQLite takes the number of pages that there are for the least.
    db.exec("PRAGMA max_page_count = 1");
    return db;
  };
  expect(() => openStore(dir, cramped)).toThrow(
    expect.objectContaining({
      code: "data_dir_unusable",
      message: expect.stringContaining("full"),
    }),
  );
  const after = openDatabase(join(dir, "dropless.db"));
  expect(versionOf(after)).toBe(1);
  expect(after.prepare("SELECT count(*) AS n FROM deliveries WHERE app = 'docs'").get()?.n).toBe(1994);
  expect(after.prepare("PRAGMA foreign_key_check").all()).toEqual([]);
  after.close();
  const store = opened(dir);
  expect(store.list({ limit: 1 }).deploys[0]?.id).toBe("d2000");
  expect(store.remembered("docs", { id: "g1000", bodySha256: "new" })?.id).toBe("d1000");
});

test("killed in the middle of being brought up to date, a store is the older one still", () => {
  const dir = olderStore();
  const path = join(dir, "dropless.db");
  const steps: string[] = [];
  const at1 = {
    get: () => ({ user_version: 1 }),
    run: () => {},
    all: () => [],
  };
  migrate({
    prepare: () => at1,
    exec: (sql) => void steps.push(sql),
    close() {},
  });
  const sqlite = createRequire(import.meta.url).resolve("@photostructure/sqlite");
  // All of it but the last word; with so small a cache most of it is in the files by then.
  const code = `
    const { DatabaseSync } = process.getBuiltinModule?.("node:sqlite") ?? require(${JSON.stringify(sqlite)});
    const db = new DatabaseSync(${JSON.stringify(path)});
    db.exec("PRAGMA foreign_keys = ON; PRAGMA cache_size = 1");
    db.exec(${JSON.stringify(steps[0]?.replace(/COMMIT$/, ""))});
    if (db.prepare("SELECT count(*) AS n FROM delivery_ids").get().n > 0) process.kill(process.pid, "SIGKILL");`;
  expect(steps[0]).toMatch(/COMMIT$/);
  expect(spawnSync(process.execPath, ["-e", code], { stdio: "ignore" }).signal).toBe("SIGKILL");
  const db = openDatabase(path);
  expect(versionOf(db)).toBe(1);
  expect(db.prepare("SELECT id FROM deploys WHERE token_sha256 = ?").get(hashToken(token(2)))?.id).toBe("d2");
  expect(db.prepare("SELECT count(*) AS n FROM deliveries").get()?.n).toBe(8);
  db.close();
  expectAllOf(dir);
});
