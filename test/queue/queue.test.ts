import { EventEmitter, once } from "node:events";
import { expect, onTestFinished, test, vi } from "vitest";
import { isEnded } from "../../src/domain/deploy.js";
import { createIds, createRandom } from "../../src/domain/ids.js";
import { tempDir } from "../support/temp.js";
import { bench, delivery, hashOf, problem, push, sha } from "./bench.js";

test("a delivery is queued, run, and settled as the pipeline says", async () => {
  const b = bench();
  b.queue.start();
  const { deploy, position } = b.push(1);
  expect(deploy).toMatchObject({ app: "api", status: "queued", attempt: 1, standsFor: [sha(1)] });
  expect(position).toBe(1);
  const run = await b.run(1);
  expect(run.recorder.deploy).toMatchObject({ id: deploy.id, status: "running" });
  expect(run.recorder.deploy.steps.map((step) => step.status)).toEqual(Array(9).fill("pending"));
  run.recorder.step("fetch", "running");
  run.recorder.step("fetch", "succeeded");
  run.recorder.release("20260101T000000-0000000");
  run.end({ status: "succeeded" });
  await b.ended(deploy.id);
  const end = b.queue.get(deploy.id);
  expect(end).toMatchObject({ status: "succeeded", release: "20260101T000000-0000000" });
  expect(end && isEnded(end) && end.steps?.[0]).toMatchObject({ name: "fetch", status: "succeeded" });
  expect(b.logged).toEqual(
    ["queued", "running", "fetch running", "fetch succeeded", "succeeded"].map((it) => `${deploy.id} ${it}`),
  );
  expect(b.closed).toEqual([deploy.id]);
  expect(b.queue.succeeded("api").map(({ id }) => id)).toEqual([deploy.id]);
});

test("newest wins: a waiting deploy is superseded, and the newer one stands for its commits", async () => {
  const b = bench();
  b.queue.start();
  const first = b.push(1);
  await b.run(1);
  const second = b.push(2);
  const third = b.push(3);
  const other = b.push(4, "web");
  const fourth = b.push(5);
  expect(b.queue.get(second.deploy.id)).toMatchObject({
    status: "superseded",
    supersededBy: third.deploy.id,
  });
  expect(b.queue.get(third.deploy.id)).toMatchObject({
    status: "superseded",
    supersededBy: fourth.deploy.id,
  });
  // It keeps the place of the one it superseded: an app that is pushed to all the time does not starve.
  expect(b.queue.position(fourth.deploy.id)).toBe(1);
  expect(b.queue.position(other.deploy.id)).toBe(2);
  b.runs[0]?.end({ status: "succeeded" });
  const run = await b.run(2);
  expect(run.recorder.deploy).toMatchObject({
    id: fourth.deploy.id,
    standsFor: [sha(5), sha(3), sha(2)],
  });
  expect(b.queue.get(first.deploy.id)).toMatchObject({ status: "succeeded", standsFor: [sha(1)] });
  run.end({ status: "succeeded" });
  expect((await b.run(3)).recorder.deploy.id).toBe(other.deploy.id);
});

test("one delivery for several apps is one transaction, and makes one deploy for each", async () => {
  const b = bench();
  const submissions = b.queue.deliver(delivery("a"), [push(1, "api"), push(1, "web")]);
  expect(submissions.map((it) => it.kind)).toEqual(["queued", "queued"]);
  expect(() => b.queue.deliver(delivery("b"), [push(2, "api"), push(2, "nobody")])).toThrow(
    expect.objectContaining({ code: "app_unknown" }),
  );
  expect(b.queue.list({ limit: 10 }).deploys).toHaveLength(2);
});

test("a delivery is known again by its id and by its body, for each app by itself", () => {
  const b = bench();
  const original = { id: "guid", bodySha256: hashOf("body") };
  const [first] = b.queue.deliver(original, [push(1)]);
  const id = first?.kind === "queued" ? first.deploy.id : "";
  for (const again of [
    original,
    { id: "guid", bodySha256: hashOf("other") },
    { id: "other", bodySha256: hashOf("body") },
  ]) {
    const [repeat] = b.queue.deliver(again, [push(1)]);
    expect(repeat).toMatchObject({ kind: "duplicate", deploy: { id } });
    expect(repeat).not.toHaveProperty("token");
  }
  expect(b.queue.deliver(original, [push(1, "web")])[0]?.kind).toBe("queued");
});

test("a repeat of a failed delivery runs again, five times at most", async () => {
  const b = bench();
  b.queue.start();
  const same = { id: "guid", bodySha256: hashOf("body") };
  let earlier: string | undefined;
  for (let attempt = 1; attempt <= 6; attempt++) {
    // By its id, by its body: either way it is the same delivery that is counted.
    const again =
      attempt % 2 ? { ...same, id: `guid${attempt}` } : { ...same, bodySha256: hashOf(`body${attempt}`) };
    const [submission] = b.queue.deliver(attempt === 1 ? same : again, [push(1)]);
    expect(submission?.kind).toBe("queued");
    if (submission?.kind !== "queued") return;
    expect(submission.deploy.attempt).toBe(attempt);
    expect(submission.deploy.repeats).toBe(earlier);
    earlier = submission.deploy.id;
    expect(b.queue.deliver(same, [push(1)])[0]?.kind).toBe("duplicate");
    const failure = (["failed", "canceled", "rolled_back"] as const)[attempt % 3] ?? "failed";
    (await b.run(attempt)).end(problem(failure));
    await b.ended(earlier);
  }
  expect(b.queue.deliver(same, [push(1)])[0]).toMatchObject({ kind: "duplicate", deploy: { id: earlier } });
});

test.each(["succeeded", "skipped"] as const)("a repeat of a %s delivery is a duplicate", async (status) => {
  const b = bench();
  b.queue.start();
  const same = delivery("guid");
  b.queue.deliver(same, [push(1)]);
  const run = await b.run(1);
  run.end(status === "succeeded" ? { status } : problem(status));
  await b.ended(run.recorder.deploy.id);
  expect(b.queue.deliver(same, [push(1)])[0]?.kind).toBe("duplicate");
});

test("a held app refuses what is new, keeps what waits, and lets a person roll back", async () => {
  const b = bench();
  const waiting = b.push(1);
  b.queue.hold("api", "database move", "alice");
  expect(b.queue.app("api").hold).toMatchObject({ reason: "database move", by: "alice" });
  const refused = delivery("late");
  const held = { kind: "held", app: "api", reason: "database move" };
  expect(b.queue.deliver(refused, [push(2), push(2, "web")])).toMatchObject([held, { kind: "queued" }]);
  expect(b.queue.ask(push(3, "api", "manual"))).toEqual(held);
  b.queue.start();
  expect((await b.run(1)).recorder.deploy.app).toBe("web");
  b.runs[0]?.end({ status: "succeeded" });
  const rollback = b.queue.ask({ ...push(0, "api", "rollback"), ref: "20260101T000000-0000000" });
  expect(rollback.kind).toBe("queued");
  expect(b.queue.get(waiting.deploy.id)?.status).toBe("superseded");
  const run = await b.run(2);
  expect(run.recorder.deploy.trigger).toBe("rollback");
  run.end({ status: "succeeded" });
  await b.ended(run.recorder.deploy.id);
  b.queue.resume("api");
  // What was refused was not remembered: the sender may try again.
  expect(b.queue.deliver(refused, [push(2)])[0]?.kind).toBe("queued");
  expect((await b.run(3)).recorder.deploy.standsFor).toEqual([sha(2)]);
});

test("what waits on a held app runs once it is released", async () => {
  const b = bench();
  const waiting = b.push(1);
  b.queue.hold("api", "wait", "alice");
  const other = b.push(2, "web");
  b.queue.start();
  const run = await b.run(1);
  expect(run.recorder.deploy.id).toBe(other.deploy.id);
  run.end({ status: "succeeded" });
  await b.ended(other.deploy.id);
  expect(b.queue.get(waiting.deploy.id)?.status).toBe("queued");
  b.queue.resume("api");
  expect((await b.run(2)).recorder.deploy.id).toBe(waiting.deploy.id);
});

test("rollback_failed puts the app on hold", async () => {
  const b = bench();
  b.queue.start();
  const { deploy } = b.push(1);
  (await b.run(1)).end(problem("rollback_failed"));
  await b.ended(deploy.id, "rollback_failed");
  expect(b.queue.app("api").hold).toMatchObject({ by: "dropless", reason: "It was to fail." });
});

test("a person's rollback cancels its app's running deploy and goes ahead of other apps'", async () => {
  const b = bench();
  b.queue.start();
  const running = b.push(1);
  await b.run(1);
  b.push(2, "web");
  b.push(3, "shop");
  const rollback = b.queue.ask(push(0, "api", "rollback"));
  expect(rollback).toMatchObject({ kind: "queued", position: 1 });
  const late = b.push(4);
  expect(late.position).toBe(4);
  expect(b.runs[0]?.signal.reason).toBe("cancel");
  await b.ended(running.deploy.id, "canceled");
  const second = await b.run(2);
  expect(second.recorder.deploy.trigger).toBe("rollback");
  // A push waits behind it, a person's deploy replaces it.
  const manual = b.queue.ask(push(0, "api", "manual"));
  expect(manual.kind === "queued" && b.queue.get(late.deploy.id)).toMatchObject({ status: "superseded" });
});

test("a waiting rollback is superseded only by a person", () => {
  const b = bench();
  const rollback = b.queue.ask(push(0, "api", "rollback"));
  const id = rollback.kind === "queued" ? rollback.deploy.id : "";
  b.push(1);
  expect(b.queue.get(id)?.status).toBe("queued");
  b.queue.ask(push(2, "api", "manual"));
  expect(b.queue.get(id)?.status).toBe("superseded");
  expect(b.queue.list({ limit: 10, status: "queued" }).deploys).toHaveLength(1);
});

test("a waiting deploy is canceled at once, a running one when the pipeline has seen to it", async () => {
  const b = bench({ onAbort: false });
  b.queue.start();
  const running = b.push(1);
  const run = await b.run(1);
  const waiting = b.push(2, "web");
  expect(b.queue.cancel(waiting.deploy.id)).toMatchObject({
    status: "canceled",
    error: { code: "canceled" },
  });
  expect(b.queue.cancel(running.deploy.id)).toMatchObject({ status: "running", cancelRequested: true });
  expect(run.signal.reason).toBe("cancel");
  expect(b.queue.cancel(running.deploy.id)).toMatchObject({ status: "running" });
  run.recorder.decide("back");
  expect(b.queue.get(running.deploy.id)).toMatchObject({ cancelRequested: true, decision: "back" });
  run.end(problem("canceled"));
  await b.ended(running.deploy.id, "canceled");
  expect(b.queue.get(running.deploy.id)).not.toHaveProperty("cancelRequested");
  expect(() => b.queue.cancel(running.deploy.id)).toThrow(
    expect.objectContaining({ code: "not_cancelable" }),
  );
  expect(() => b.queue.cancel("nothing")).toThrow(expect.objectContaining({ code: "not_found" }));
});

test("a pipeline that throws fails its deploy, and the queue goes on", async () => {
  const b = bench();
  b.queue.start();
  const { deploy } = b.push(1);
  const run = await b.run(1);
  run.recorder.step("build", "running");
  run.crash(new TypeError("x is not a function"));
  await b.ended(deploy.id);
  const end = b.queue.get(deploy.id);
  expect(end).toMatchObject({ status: "failed", error: { code: "internal" } });
  expect(end && isEnded(end) && end.steps?.find(({ name }) => name === "build")?.status).toBe("failed");
  b.push(2);
  await b.run(2);
});

test("what is left to do is done at the start and after each deploy, before the next and behind the end", async () => {
  const told: string[] = [];
  let release = () => {};
  const b = bench({
    afterwards: async () => {
      told.push(`after ${b.seen.filter(isEnded).length} ended, ${b.runs.length} begun`);
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      throw new Error("a folder that cannot be removed");
    },
  });
  b.queue.start();
  const first = b.push(1);
  const second = b.push(2, "web");
  await vi.waitFor(() => expect(told).toHaveLength(1), 60_000);
  expect(b.runs).toEqual([]);
  release();
  (await b.run(1)).end({ status: "succeeded" });
  await b.ended(first.deploy.id);
  await vi.waitFor(() => expect(told).toHaveLength(2), 60_000);
  expect(b.queue.get(second.deploy.id)).toMatchObject({ status: "queued" });
  release();
  (await b.run(2)).end({ status: "succeeded" });
  await b.ended(second.deploy.id);
  expect(told.slice(0, 2)).toEqual(["after 0 ended, 0 begun", "after 1 ended, 1 begun"]);
  expect(b.reported).toHaveLength(2);
  await vi.waitFor(() => expect(told).toHaveLength(3), 60_000);
  release();
});

test("whoever waits long for what is left to do is told so once, and nothing goes on counting", async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  onTestFinished(() => void vi.useRealTimers());
  const begun = new EventEmitter();
  let release = () => {};
  const b = bench({
    afterwards: () => {
      begun.emit("begun");
      return new Promise<void>((resolve) => {
        release = resolve;
      });
    },
  });
  const said = () => b.logged.filter((line) => line.includes("Waits until"));
  const started = once(begun, "begun");
  b.queue.start();
  await started;
  vi.advanceTimersByTime(60_000);
  expect(said()).toEqual([]);
  b.push(1, "web");
  b.queue.hold("web", "not now", "alice");
  const { deploy } = b.push(2);
  expect(said()).toEqual([]);
  vi.advanceTimersByTime(60_000);
  expect(said()).toEqual([`${deploy.id} Waits until the files of old releases are removed`]);
  expect(vi.getTimerCount()).toBe(1);
  release();
  const run = await b.run(1);
  expect(vi.getTimerCount()).toBe(0);
  const again = once(begun, "begun");
  run.end({ status: "succeeded" });
  await again;
  expect(vi.getTimerCount()).toBe(1);
  await b.queue.stop({ graceMs: 600_000 });
  expect(vi.getTimerCount()).toBe(0);
});

test("a stop does not wait for what is left to do", async () => {
  let told = 0;
  const b = bench({
    afterwards: () => {
      told++;
      return new Promise(() => {});
    },
  });
  b.queue.start();
  b.push(1);
  await vi.waitFor(() => expect(told).toBe(1), 60_000);
  await b.queue.stop({ graceMs: 600_000 });
  expect(b.runs).toEqual([]);
});

test("every change is in the store before it is in the log, and there before anybody is told", async () => {
  const b = bench();
  const told: string[] = [];
  b.queue.subscribe((deploy) => {
    expect(b.queue.get(deploy.id)?.status).toBe(deploy.status);
    expect(b.logged.some((line) => line === `${deploy.id} ${deploy.status}`)).toBe(true);
    told.push(deploy.status);
  });
  b.queue.start();
  const { deploy } = b.push(1);
  b.push(2);
  const run = await b.run(1);
  run.recorder.step("fetch", "running");
  run.end({ status: "succeeded" });
  await b.ended(run.recorder.deploy.id);
  expect(b.queue.get(deploy.id)?.status).toBe("superseded");
  expect(told).toEqual(["queued", "superseded", "queued", "running", "running", "succeeded"]);
  expect(b.reported).toEqual([]);
});

test("a listener that throws harms nobody", async () => {
  const b = bench();
  b.queue.subscribe(() => {
    throw new Error("broken listener");
  });
  b.queue.start();
  b.push(1);
  await b.run(1);
  expect(b.reported.length).toBeGreaterThan(0);
});

test("live and left are one transaction with each other, and an app's state survives", async () => {
  const b = bench();
  b.queue.start();
  b.push(1);
  const { recorder } = await b.run(1);
  const live = { release: "r1", sha: sha(1), deploy: "d", since: "2026-01-01T00:00:00.000Z" };
  recorder.live(live, { sha: sha(2), deploy: "e", automatic: true });
  expect(recorder.app()).toEqual({ live, left: { sha: sha(2), deploy: "e", automatic: true } });
  recorder.live({ ...live, release: "r2" });
  expect(b.queue.app("api")).toEqual({ live: { ...live, release: "r2" } });
});

test("deliveries of one moment are one transaction, and each gets its own answer", async () => {
  const b = bench();
  let commits = 0;
  const transaction = b.store.transaction;
  b.store.transaction = (work) => {
    commits++;
    return transaction(work);
  };
  b.queue.hold("shop", "closed", "alice");
  const answers = await Promise.allSettled([
    ...Array.from({ length: 50 }, (_, n) => b.queue.deliverSoon(delivery(`d${n}`), [push(n + 1)])),
    b.queue.deliverSoon({ id: "d3", bodySha256: hashOf("again") }, [push(4)]),
    b.queue.deliverSoon(delivery("held"), [push(1, "shop")]),
    b.queue.deliverSoon(delivery("unknown"), [push(1, "nobody")]),
  ]);
  const kinds = answers.map((it) => (it.status === "fulfilled" ? it.value[0]?.kind : it.reason.code));
  expect(kinds).toEqual([...Array(50).fill("queued"), "duplicate", "held", "app_unknown"]);
  expect(commits).toBe(1);
  expect(b.queue.list({ limit: 100, status: "queued" }).deploys.map(({ commit }) => commit.sha)).toEqual([
    sha(50),
  ]);
  expect(b.seen.filter(({ status }) => status === "superseded")).toHaveLength(49);
});

test("one that fails in a common transaction does not take the others with it", async () => {
  const b = bench();
  const add = b.store.add;
  b.store.add = (deploy, options) => {
    if (deploy.commit.sha === sha(7)) throw new Error("a bug");
    add(deploy, options);
  };
  const answers = await Promise.allSettled(
    [6, 7, 8].map((n) => b.queue.deliverSoon(delivery(`d${n}`), [push(n, n === 8 ? "web" : "api")])),
  );
  expect(answers.map((it) => it.status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  expect(b.queue.list({ limit: 9 }).deploys).toHaveLength(2);
});

test("what is superseded by what came with it is told of once, and leaves no log", async () => {
  const b = bench();
  b.queue.start();
  b.push(1);
  await b.run(1);
  const told = await Promise.all([2, 3, 4].map((n) => b.queue.deliverSoon(delivery(`d${n}`), [push(n)])));
  const ids = told.flat().map((one) => (one.kind === "queued" ? one.deploy.id : one.kind));
  const statuses = (id = "") => b.seen.filter((deploy) => deploy.id === id).map(({ status }) => status);
  expect(ids.map(statuses)).toEqual([["superseded"], ["superseded"], ["queued"]]);
  const logged = () => b.logged.filter((line) => ids.includes(line.split(" ")[0] ?? ""));
  expect(logged()).toEqual([`${ids[2]} queued`]);
  expect(b.closed.filter((id) => ids.includes(id))).toEqual([]);
  // What has waited on its own has a log.
  await b.queue.deliverSoon(delivery("d5"), [push(5)]);
  expect(logged()).toEqual([`${ids[2]} queued`, `${ids[2]} superseded`]);
  expect(b.closed).toContain(ids[2]);
});

test("a clock that jumps a day back, also while the daemon is away, changes no order and no id's place", async () => {
  const day = 86_400_000;
  let clock = Date.parse("2026-06-01T00:00:00Z");
  const now = () => clock;
  const dir = tempDir("clock");
  const before = bench({ dir, now, onAbort: false });
  before.queue.start();
  const first = before.push(1);
  const run = await before.run(1);
  run.recorder.step("fetch", "running");
  const second = before.push(2);
  clock -= day;
  run.recorder.step("fetch", "succeeded");
  const third = before.push(3);
  expect(before.queue.get(second.deploy.id)).toMatchObject({
    status: "superseded",
    supersededBy: third.deploy.id,
  });
  run.end({ status: "succeeded" });
  await before.ended(first.deploy.id, "succeeded");
  const ended = before.queue.get(first.deploy.id);
  expect(ended && "steps" in ended && ended.steps?.[0]?.durationMs).toBe(0);
  await before.run(2);
  before.die();

  clock -= day;
  const ids = createIds(now, createRandom(), third.deploy.id);
  const after = bench({ dir, now, ids, onAbort: false });
  after.queue.start();
  const fourth = after.push(4);
  const resumed = await after.run(1);
  expect(resumed.recorder.deploy.id).toBe(third.deploy.id);
  resumed.end({ status: "succeeded" });
  expect((await after.run(2)).recorder.deploy.id).toBe(fourth.deploy.id);
  const made = [first, second, third, fourth].map(({ deploy }) => deploy.id);
  expect([...made].sort()).toEqual(made);
  expect(after.queue.list({ limit: 9 }).deploys.map(({ id }) => id)).toEqual([...made].reverse());
});

test("a deploy's token reads it and those that supersede it, until an hour after the final end", async () => {
  let clock = Date.parse("2026-01-01T00:00:00Z");
  const b = bench({ now: () => clock });
  const first = b.push(1);
  const other = b.push(9, "web");
  const second = b.push(2);
  const third = b.push(3);
  const reads = (token: string, { deploy }: { deploy: { id: string } }) =>
    b.queue.tokenReads(token, deploy.id);
  expect([first, second, third, other].map((it) => reads(first.token, it))).toEqual([
    true,
    true,
    true,
    false,
  ]);
  expect([first, second, third].map((it) => reads(third.token, it))).toEqual([false, false, true]);
  expect(reads("nothing", first)).toBe(false);
  clock += 86_400_000;
  expect(reads(first.token, first)).toBe(true);
  b.queue.cancel(third.deploy.id);
  clock += 3_600_000;
  expect(reads(first.token, third)).toBe(true);
  clock += 1;
  expect(reads(first.token, third)).toBe(false);
  expect(reads(first.token, first)).toBe(false);
});
