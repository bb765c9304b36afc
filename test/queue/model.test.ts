import fc from "fast-check";
import { expect, test } from "vitest";
import { type Deploy, isEnded, type Outcome } from "../../src/domain/deploy.js";
import { inherited, inOrder, mayRepeat, nextOf, supersedes } from "../../src/queue/rules.js";
import type { Waiting } from "../../src/queue/store.js";
import { queued, settled, started, withStep } from "../../src/queue/transitions.js";
import { makeTempDir, removeTempDir } from "../support/temp.js";
import { bench, hashOf, problem, push, sha } from "./bench.js";

const apps = ["api", "web", "shop"];
const app = fc.constantFrom(...apps);
const operation = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("push" as const), app }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("again" as const), which: fc.nat(50) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("manual" as const), app }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("rollback" as const), app }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("cancel" as const), which: fc.nat(50) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("hold" as const), app }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("resume" as const), app }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("restart" as const) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("finish" as const),
      as: fc.constantFrom("succeeded", "failed", "rolled_back", "rollback_failed", "skipped"),
    }),
  },
);

const outcomeOf = (status: string): Outcome =>
  status === "succeeded"
    ? { status: "succeeded" }
    : problem(status as Exclude<Outcome["status"], "succeeded">);

test("whatever happens in whatever order, the queue keeps its word", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { minLength: 5, maxLength: 40 }), async (operations) => {
      const dir = makeTempDir("model");
      let b = bench({ dir, apps });
      b.queue.start();
      const known = new Map<string, Deploy>();
      const deliveries: { id: string; bodySha256: string; app: string; n: number }[] = [];
      /** Shas that a webhook was acknowledged for, and the deploy that it got. */
      const promised: { sha: string; deploy: string }[] = [];
      let n = 0;

      const active = () => b.runs.find(({ recorder }) => recorder.deploy.id === b.store.running()?.id);
      const settledDown = () =>
        b.until(() =>
          b.store.running()
            ? active() !== undefined && !active()?.signal.aborted
            : nextOf(b.store.waiting(), (name) => b.queue.app(name).hold !== undefined) === undefined,
        );

      function deliver(delivery: (typeof deliveries)[number]): void {
        const before = b.store.remembered(delivery.app, delivery);
        const held = b.queue.app(delivery.app).hold !== undefined;
        const [got] = b.queue.deliver(delivery, [push(delivery.n, delivery.app)]);
        if (before && !mayRepeat(before)) expect(got?.kind).toBe("duplicate");
        else expect(got?.kind).toBe(held ? "held" : "queued");
        if (got?.kind === "queued") promised.push({ sha: sha(delivery.n), deploy: got.deploy.id });
      }

      function check(): void {
        const all = b.queue.list({ limit: 100 }).deploys;
        for (const deploy of all) {
          const earlier = known.get(deploy.id);
          if (earlier && isEnded(earlier)) expect(deploy).toEqual(earlier);
          known.set(deploy.id, deploy);
        }
        for (const id of known.keys()) expect(b.queue.get(id)).toBeDefined();
        expect(all.filter(({ status }) => status === "running").length).toBeLessThanOrEqual(1);
        const waiting = b.store.waiting().map(({ deploy }) => deploy);
        for (const name of apps) {
          const own = waiting.filter((deploy) => deploy.app === name);
          expect(own.filter(({ trigger }) => trigger === "rollback").length).toBeLessThanOrEqual(1);
          expect(own.filter(({ trigger }) => trigger !== "rollback").length).toBeLessThanOrEqual(1);
        }
      }

      try {
        for (const op of operations) {
          const ids = [...known.keys()];
          if (op.do === "push") {
            n++;
            const delivery = { id: `g${n}`, bodySha256: hashOf(`b${n}`), app: op.app, n };
            deliveries.push(delivery);
            deliver(delivery);
          } else if (op.do === "again") {
            const delivery = deliveries[op.which % Math.max(1, deliveries.length)];
            if (delivery) deliver(delivery);
          } else if (op.do === "manual" || op.do === "rollback") {
            const kind = b.queue.ask({
              ...push(0, op.app, op.do),
              commit: { sha: "", message: "", author: "" },
            }).kind;
            const free = op.do === "rollback" || !b.queue.app(op.app).hold;
            expect(kind).toBe(free ? "queued" : "held");
          } else if (op.do === "cancel") {
            const id = ids[op.which % Math.max(1, ids.length)];
            const deploy = id && b.queue.get(id);
            if (deploy && !isEnded(deploy)) b.queue.cancel(deploy.id);
          } else if (op.do === "hold") b.queue.hold(op.app, "because", "alice");
          else if (op.do === "resume") b.queue.resume(op.app);
          else if (op.do === "finish") {
            const run = active();
            run?.end(outcomeOf(op.as));
            if (run) await b.ended(run.recorder.deploy.id);
          } else {
            b.die();
            b = bench({ dir, apps });
            b.queue.start();
          }
          await settledDown();
          check();
        }
        // Then everything comes to its end.
        for (const name of apps) b.queue.resume(name);
        for (;;) {
          await settledDown();
          check();
          const run = active();
          if (!run) break;
          const { id } = run.recorder.deploy;
          run.end({ status: "succeeded" });
          await b.ended(id);
        }
        expect(b.store.waiting()).toEqual([]);
        for (const { sha: asked, deploy } of promised) {
          const heirs: Deploy[] = [];
          for (let it = b.queue.get(deploy); it; it = b.queue.get((isEnded(it) && it.supersededBy) || ""))
            heirs.push(it);
          for (const heir of heirs) expect(b.store.isHeir(deploy, heir.id)).toBe(true);
          for (const id of known.keys())
            expect(b.store.isHeir(deploy, id)).toBe(heirs.some((heir) => heir.id === id));
          const last = heirs.at(-1);
          expect(b.store.lastHeir(deploy)).toEqual(last);
          expect(last && isEnded(last) && last.status).not.toBe("superseded");
          const rejected = heirs.some((it) => it.trigger === "rollback");
          // Taken up by the deploy that ran in its stead, unless a person went back or canceled that one.
          if (last && "startedAt" in last && !rejected) expect(b.store.standsFor(last.id)).toContain(asked);
        }
      } finally {
        await b.close();
        removeTempDir(dir);
      }
    }),
    { numRuns: 60 },
  );
}, 120_000);

const waiting = fc
  .array(fc.record({ app, trigger: fc.constantFrom("push", "manual", "rollback"), place: fc.nat(30) }))
  .map((list) =>
    list.map(
      ({ app, trigger, place }, index): Waiting => ({
        place,
        deploy: queued(`d${index}`, push(index + 1, app, trigger as "push"), 0),
      }),
    ),
  );

test("the line: rollbacks first, then by place, held apps stay", () => {
  fc.assert(
    fc.property(waiting, fc.subarray(apps), (line, held) => {
      const order = inOrder(line);
      expect(order).toHaveLength(line.length);
      for (const [index, { deploy, place }] of order.entries()) {
        const before = order[index - 1];
        if (!before) continue;
        const kinds = [before.deploy.trigger === "rollback", deploy.trigger === "rollback"];
        expect(kinds).not.toEqual([false, true]);
        if (kinds[0] === kinds[1]) expect(before.place).toBeLessThanOrEqual(place);
      }
      const next = nextOf(line, (name) => held.includes(name));
      const free = order.filter(({ deploy }) => deploy.trigger === "rollback" || !held.includes(deploy.app));
      expect(next).toEqual(free[0]?.deploy);
    }),
  );
});

test("only a person supersedes a rollback, and a rollback takes nobody's commits over", () => {
  fc.assert(
    fc.property(
      waiting,
      fc.constantFrom("push", "request", "manual", "rollback" as const),
      (line, trigger) => {
        for (const { deploy } of line)
          expect(supersedes(trigger, deploy)).toBe(
            deploy.trigger !== "rollback" || trigger === "manual" || trigger === "rollback",
          );
        const from = inherited(trigger, line);
        if (trigger === "rollback") expect(from).toBeUndefined();
        else expect(from === undefined).toBe(line.every(({ deploy }) => deploy.trigger === "rollback"));
      },
    ),
  );
});

test("a step's time is never less than nothing, whatever the clock does", () => {
  fc.assert(
    fc.property(fc.nat(1e9), fc.nat(1e9), fc.constantFrom("succeeded", "failed"), (begun, ended, status) => {
      const running = withStep(started(queued("d", push(1), 0), [], 0), "build", "running", begun);
      const end = settled(
        withStep(running, "build", status as "failed", ended),
        { status: "succeeded" },
        ended,
      );
      const step = end.steps?.find(({ name }) => name === "build");
      expect(step).toMatchObject({ status, durationMs: Math.max(0, ended - begun) });
      expect(step).not.toHaveProperty("ownMs");
      expect(end.steps?.filter((it) => it.status === "pending")).toHaveLength(8);
    }),
  );
});
