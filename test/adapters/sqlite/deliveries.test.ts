import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { openDatabase } from "../../../src/adapters/sqlite/driver.js";
import { openStore } from "../../../src/adapters/sqlite/store.js";
import type { Queued } from "../../../src/domain/deploy.js";
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

const delivery = (n: number) => ({ id: `g${n}`, bodySha256: hashOf(`b${n}`) });

function opened(dir: string) {
  const store = openStore(dir);
  let isOpen = true;
  const close = () => {
    if (isOpen) store.close();
    isOpen = false;
  };
  onTestFinished(close);
  const add = (n: number, of = n, instead?: string) =>
    store.add(deploy(n), { tokenSha256: `t${n}`, place: 1, delivery: delivery(of), instead });
  const byId = (n: number) => store.remembered("api", { id: `g${n}`, bodySha256: hashOf("none") })?.id;
  const byBody = (n: number) => store.remembered("api", { ...delivery(n), id: "none" })?.id;
  return { ...store, close, put: add, byId, byBody };
}

/** How many deliveries the index has, and up to which deploy. */
function indexed(dir: string) {
  const db = openDatabase(join(dir, "dropless.db"));
  try {
    const count = (table: string) => Number(db.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.n);
    const upto = Number(db.prepare("SELECT upto FROM indexed").get()?.upto);
    return { ids: count("delivery_ids"), bodies: count("delivery_bodies"), upto };
  } finally {
    db.close();
  }
}

test("a delivery is known again before it is indexed, after that, and by whoever opens the store next", async () => {
  const dir = tempDir("store");
  const first = opened(dir);
  const expectKnown = (s: typeof first) => {
    for (const n of [1, 2, 150]) expect([s.byId(n), s.byBody(n)]).toEqual([`d${n}`, `d${n}`]);
    expect([s.byId(151), s.byBody(151)]).toEqual([undefined, undefined]);
    expect(s.remembered("web", delivery(1))).toBeUndefined();
  };
  for (let n = 1; n <= 150; n++) first.put(n);
  expect(indexed(dir)).toEqual({ ids: 0, bodies: 0, upto: 0 });
  expectKnown(first);
  first.close();

  const second = opened(dir);
  expectKnown(second);
  second.add(deploy(200, "web"), { tokenSha256: "t200" });
  await expect.poll(() => indexed(dir), { timeout: 60_000 }).toEqual({ ids: 150, bodies: 150, upto: 151 });
  expectKnown(second);
  second.close();
  expectKnown(opened(dir));
});

test("of two deploys of one delivery the later is found, wherever the index ends", async () => {
  const dir = tempDir("store");
  const store = opened(dir);
  const upto = (seq: number) => expect.poll(() => indexed(dir).upto, { timeout: 60_000 }).toBe(seq);
  store.put(1);
  await upto(1);
  store.put(2, 1, "d1");
  expect([store.byId(1), store.byBody(1)]).toEqual(["d2", "d2"]);
  await upto(2);
  store.put(3, 1, "d2");
  store.put(4, 1, "d3");
  expect([store.byId(1), store.byBody(1)]).toEqual(["d4", "d4"]);
  await upto(4);
  expect([store.byId(1), store.byBody(1)]).toEqual(["d4", "d4"]);
  expect(indexed(dir)).toMatchObject({ ids: 1, bodies: 1 });
});

test("a delivery whose transaction is taken back is not known, and those before it are", () => {
  const store = opened(tempDir("store"));
  store.put(1);
  const failing = () =>
    store.transaction(() => {
      store.put(2);
      expect(store.byId(2)).toBe("d2");
      throw new Error("taken back");
    });
  expect(failing).toThrow("taken back");
  expect([1, 2].map(store.byId)).toEqual(["d1", undefined]);
  store.put(3, 2);
  expect([store.byId(2), store.byBody(2)]).toEqual(["d3", "d3"]);
});

test("a flood without a pause is indexed on the way", async () => {
  const dir = tempDir("store");
  const store = opened(dir);
  let n = 0;
  const some = () =>
    store.transaction(() => {
      for (let i = 0; i < 100; i++) store.put(++n);
    });
  for (let i = 0; i < 40; i++) some();
  expect(indexed(dir).ids).toBe(0);
  // There is no quiet moment: what is still written every few milliseconds comes after it each time.
  const flood = setInterval(some, 2);
  onTestFinished(() => clearInterval(flood));
  await expect.poll(() => indexed(dir).upto, { timeout: 60_000, interval: 10 }).toBeGreaterThan(4_000);
  clearInterval(flood);
  const { upto } = indexed(dir);
  expect(indexed(dir).ids).toBeGreaterThanOrEqual(upto);
  for (const one of [1, upto, upto + 1, n])
    expect([store.byId(one), store.byBody(one)]).toEqual([`d${one}`, `d${one}`]);
});

test("killed while it indexes, a store knows every delivery", () => {
  const dir = tempDir("store");
  const dist = join(import.meta.dirname, "../../../dist/adapters/sqlite/store.js");
  const code = `
    const { openStore } = await import(${JSON.stringify(pathToFileURL(dist).href)});
    const store = openStore(${JSON.stringify(dir)});
    for (const [deploy, tokenSha256, delivery] of ${JSON.stringify(
      Array.from({ length: 1000 }, (_, n) => [deploy(n + 1), `t${n + 1}`, delivery(n + 1)]),
    )}) store.add(deploy, { tokenSha256, place: 1, delivery });
    const { openDatabase } = await import(${JSON.stringify(pathToFileURL(join(dist, "../driver.js")).href)});
    const db = openDatabase(${JSON.stringify(join(dir, "dropless.db"))});
    const count = () => db.prepare("SELECT count(*) AS n FROM delivery_ids").get().n;
    setInterval(() => count() > 0 && process.kill(process.pid, "SIGKILL"), 1);`;
  const child = spawnSync(process.execPath, ["--input-type=module"], { input: code, timeout: 60_000 });
  expect(child.signal, String(child.stderr)).toBe("SIGKILL");
  const left = indexed(dir);
  expect(left).toMatchObject({ bodies: 0, upto: 0 });
  expect(left.ids).toBeGreaterThan(0);
  expect(left.ids).toBeLessThan(1000);
  const store = opened(dir);
  for (let n = 1; n <= 1000; n++) expect([store.byId(n), store.byBody(n)]).toEqual([`d${n}`, `d${n}`]);
});
