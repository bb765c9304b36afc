import { expect, test } from "vitest";
import { tempDir } from "../support/temp.js";
import { bench, problem } from "./bench.js";

/** One life of the daemon that dies while the deploy it had taken up runs; what that deploy was then. */
async function crash(
  dir: string,
  meanwhile?: (run: Awaited<ReturnType<ReturnType<typeof bench>["run"]>>) => void,
) {
  const life = bench({ dir, onAbort: false });
  life.queue.start();
  const run = await life.run(1);
  meanwhile?.(run);
  life.die();
  return run.recorder.deploy;
}

test("a deploy that ran when the process died is taken up again, first, with what it had done", async () => {
  const dir = tempDir("recovery");
  const before = bench({ dir, onAbort: false });
  before.queue.start();
  const { deploy } = before.push(1);
  const { recorder } = await before.run(1);
  recorder.step("fetch", "running");
  recorder.step("fetch", "succeeded");
  recorder.step("install", "running");
  recorder.decide("forward");
  before.push(2, "web");
  const newer = before.push(3);
  before.die();

  const after = bench({ dir });
  expect(after.queue.get(deploy.id)?.status).toBe("running");
  after.queue.start();
  const resumed = await after.run(1);
  expect(resumed.recorder.deploy).toMatchObject({ id: deploy.id, decision: "forward" });
  expect(resumed.recorder.deploy.steps.slice(0, 2).map((step) => step.status)).toEqual([
    "succeeded",
    "running",
  ]);
  expect(after.logged.some((line) => line.includes("restarted"))).toBe(true);
  resumed.end({ status: "succeeded" });
  expect((await after.run(2)).recorder.deploy.app).toBe("web");
  after.runs[1]?.end({ status: "succeeded" });
  expect((await after.run(3)).recorder.deploy.id).toBe(newer.deploy.id);
});

test("a person's wish to cancel survives the process", async () => {
  const dir = tempDir("recovery");
  const before = bench({ dir, onAbort: false });
  before.queue.start();
  const { deploy } = before.push(1);
  await before.run(1);
  before.queue.cancel(deploy.id);
  before.die();

  const after = bench({ dir });
  after.queue.start();
  const run = await after.run(1);
  expect(run.signal.reason).toBe("cancel");
  await after.ended(deploy.id, "canceled");
});

test("a cancel between the start of the daemon and the taking up is kept too", async () => {
  const dir = tempDir("recovery");
  const before = bench({ dir, onAbort: false });
  before.queue.start();
  const { deploy } = before.push(1);
  await before.run(1);
  before.die();

  const after = bench({ dir });
  after.queue.cancel(deploy.id);
  after.queue.start();
  await after.ended(deploy.id, "canceled");
});

test("stopping waits for the running deploy, and starts no other", async () => {
  const b = bench({ onAbort: false });
  b.queue.start();
  const running = b.push(1);
  const waiting = b.push(2, "web");
  const run = await b.run(1);
  const stopped = b.queue.stop({ graceMs: 60_000 });
  run.end({ status: "succeeded" });
  await stopped;
  expect(b.queue.get(running.deploy.id)?.status).toBe("succeeded");
  expect(b.queue.get(waiting.deploy.id)?.status).toBe("queued");
  expect(b.runs).toHaveLength(1);
  expect(b.closed).toContain(waiting.deploy.id);
});

test("what is not ended in time is handed over: it stays running for the next start", async () => {
  const dir = tempDir("recovery");
  const before = bench({ dir });
  before.queue.start();
  const { deploy } = before.push(1);
  const run = await before.run(1);
  await before.queue.stop({ graceMs: 1 });
  expect(run.signal.reason).toBe("handover");
  expect(before.queue.get(deploy.id)?.status).toBe("running");
  expect(() => run.recorder.step("build", "succeeded")).toThrow(
    expect.objectContaining({ code: "handed_over" }),
  );
  await before.close();

  const after = bench({ dir });
  after.queue.start();
  (await after.run(1)).end({ status: "succeeded" });
  await after.ended(deploy.id, "succeeded");
});

test("what succeeded while it was handed over has succeeded", async () => {
  const b = bench({ onAbort: false });
  b.queue.start();
  const { deploy } = b.push(1);
  const run = await b.run(1);
  run.signal.addEventListener("abort", () => run.end({ status: "succeeded" }));
  await b.queue.stop({ graceMs: 1 });
  expect(b.queue.get(deploy.id)?.status).toBe("succeeded");
});

test("a deploy that ends the daemon at every start is given up, and the queue goes on", async () => {
  const dir = tempDir("recovery");
  const first = bench({ dir, onAbort: false });
  first.queue.start();
  const { deploy } = first.push(1);
  const waiting = first.push(2, "web");
  (await first.run(1)).recorder.step("fetch", "running");
  first.die();
  const counts: (number | undefined)[] = [];
  for (let start = 1; start <= 6; start++) {
    const died = await crash(dir, ({ recorder }) => {
      counts.push(recorder.deploy.resumes?.count);
      // It comes further once: then it is counted anew.
      if (start === 2) recorder.step("fetch", "succeeded");
    });
    expect(died.id).toBe(deploy.id);
  }
  expect(counts).toEqual([1, 2, 1, 2, 3, 4]);
  for (let start = 7; start <= 8; start++) await crash(dir);

  // Not even the pipeline's own end of it was survived.
  const after = bench({ dir });
  after.queue.start();
  await after.ended(deploy.id, "failed");
  expect(after.queue.get(deploy.id)).toMatchObject({ error: { code: "crashed_the_daemon", step: "fetch" } });
  expect((await after.run(1)).recorder.deploy.id).toBe(waiting.deploy.id);
});

test("given up with its rollout begun, the app is put on hold: somebody has to look what serves", async () => {
  const dir = tempDir("recovery");
  const before = bench({ dir, onAbort: false });
  before.queue.start();
  const { deploy } = before.push(1);
  (await before.run(1)).recorder.step("rollout", "running");
  before.die();
  for (let start = 1; start <= 6; start++) await crash(dir);
  const after = bench({ dir });
  after.queue.start();
  await after.ended(deploy.id, "rollback_failed");
  expect(after.queue.app("api").hold?.by).toBe("dropless");
  expect(after.queue.get(deploy.id)).not.toHaveProperty("resumes");
});

test("polite restarts do not count against a deploy", async () => {
  const dir = tempDir("recovery");
  const before = bench({ dir });
  before.queue.start();
  const { deploy } = before.push(1);
  await before.run(1);
  await before.close();
  for (let start = 1; start <= 8; start++) {
    const again = bench({ dir });
    again.queue.start();
    expect((await again.run(1)).recorder.deploy.resumes?.count).toBe(1);
    await again.close();
  }
  const after = bench({ dir });
  after.queue.start();
  (await after.run(1)).end({ status: "succeeded" });
  await after.ended(deploy.id, "succeeded");
});

test("a stop that comes after a cancel is heard too", async () => {
  const dir = tempDir("recovery");
  const b = bench({ dir, onAbort: false });
  b.queue.start();
  const { deploy } = b.push(1);
  const run = await b.run(1);
  b.queue.cancel(deploy.id);
  expect(run.signal.reason).toBe("cancel");
  expect(run.ending.aborted).toBe(false);
  run.ending.addEventListener("abort", () =>
    run.end({ status: "failed", error: { code: "handed_over", message: "", hint: "" } }),
  );
  await b.close();
  const after = bench({ dir });
  expect(after.queue.get(deploy.id)?.status).toBe("running");
  after.queue.start();
  expect((await after.run(1)).signal.reason).toBe("cancel");
  await after.ended(deploy.id, "canceled");
});

test("a canceled deploy that ends while the daemon stops has ended", async () => {
  const b = bench({ onAbort: false });
  b.queue.start();
  const { deploy } = b.push(1);
  const run = await b.run(1);
  b.queue.cancel(deploy.id);
  run.ending.addEventListener("abort", () => run.end(problem("canceled")));
  await b.queue.stop({ graceMs: 1 });
  expect(b.queue.get(deploy.id)?.status).toBe("canceled");
});

test("apps that have left the configuration keep nothing waiting", async () => {
  const dir = tempDir("recovery");
  const before = bench({ dir, onAbort: false });
  before.queue.start();
  const running = before.push(1, "shop");
  await before.run(1);
  const waiting = before.push(2, "web");
  before.die();

  const after = bench({ dir, apps: ["api"] });
  after.queue.start();
  await after.ended(running.deploy.id, "failed");
  expect(after.queue.get(waiting.deploy.id)).toMatchObject({
    status: "canceled",
    error: { code: "app_unknown" },
  });
});

test("an outcome that cannot be stored is tried again until it can", async () => {
  const b = bench({ retryMs: 1 });
  b.queue.start();
  const { deploy } = b.push(1);
  const run = await b.run(1);
  const update = b.store.update;
  let refusals = 0;
  b.store.update = (next) => {
    if (refusals++ < 3) throw new Error("disk full");
    update(next);
  };
  run.end(problem("failed"));
  await b.ended(deploy.id, "failed");
  expect(refusals).toBe(4);
});

test("a deploy that comes just as the loop has found nothing is not forgotten", async () => {
  const b = bench();
  b.queue.start();
  for (let n = 1; n <= 50; n++) {
    const { deploy } = b.push(n);
    (await b.run(n)).end({ status: "succeeded" });
    await b.ended(deploy.id);
  }
  expect(b.runs).toHaveLength(50);
});
