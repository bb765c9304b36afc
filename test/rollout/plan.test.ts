import fc from "fast-check";
import { expect, test } from "vitest";
import { type Action, plan, type Seen, surgeOf, type Wish } from "../../src/rollout/plan.js";

const mode = fc.constantFrom("cluster" as const, "fork" as const);

const processes = fc
  .array(
    fc.record({
      number: fc.integer({ min: -1, max: 6 }),
      wanted: fc.boolean(),
      serving: fc.boolean(),
      broken: fc.boolean(),
      mode,
    }),
    { maxLength: 8 },
  )
  .map((all): Seen[] =>
    all.map((one, pmId) => ({ ...one, pmId, proven: false, broken: one.broken && !one.wanted })),
  );
const wishes: fc.Arbitrary<Wish> = fc.record({
  count: fc.integer({ min: 1, max: 5 }),
  mode,
  surge: fc.integer({ min: 1, max: 5 }),
  standby: fc.boolean(),
});

/** What PM2 would list after the action, when all goes well. */
function after(seen: readonly Seen[], action: Action, wish: Wish): Seen[] {
  let lastId = Math.max(-1, ...seen.map(({ pmId }) => pmId));
  switch (action.kind) {
    case "done":
      return [...seen];
    case "discard":
    case "retire":
      return seen.filter(({ pmId }) => !action.pmIds.includes(pmId));
    case "halt":
      return seen.map((one) => (action.pmIds.includes(one.pmId) ? { ...one, serving: false } : one));
    case "prove":
      return seen.map((one) => (action.pmIds.includes(one.pmId) ? { ...one, proven: true } : one));
    case "start":
      return [
        ...seen,
        ...action.numbers.map((number) => ({
          pmId: ++lastId,
          number,
          wanted: true,
          proven: false,
          serving: true,
          broken: false,
          mode: wish.mode,
        })),
      ];
  }
}

function run(begin: readonly Seen[], wish: Wish): { states: Seen[][]; actions: Action[] } {
  const states = [[...begin]];
  const actions: Action[] = [];
  for (let seen = [...begin]; actions.length < 100; ) {
    const action = plan(seen, wish);
    actions.push(action);
    if (action.kind === "done") break;
    seen = after(seen, action, wish);
    states.push(seen);
  }
  return { states, actions };
}

test("from any state it ends with exactly the wanted numbers, proven, and nothing else", () => {
  fc.assert(
    fc.property(processes, wishes, (begin, wish) => {
      const { states, actions } = run(begin, wish);
      expect(actions.at(-1)).toEqual({ kind: "done" });
      const end = states.at(-1) ?? [];
      expect(end.every(({ wanted, proven, serving }) => wanted && proven && serving)).toBe(true);
      expect(end.map(({ number }) => number).sort()).toEqual(Array.from({ length: wish.count }, (_, n) => n));
    }),
    { numRuns: 2000 },
  );
});

test("in cluster mode no fewer serve than before or than wanted, unless they are broken, and at most surge more", () => {
  fc.assert(
    fc.property(processes, wishes, (begin, wish) => {
      const cluster = begin.map((one) => ({ ...one, mode: "cluster" as const, broken: false }));
      const { states } = run(cluster, { ...wish, mode: "cluster" });
      const serving = (seen: readonly Seen[]) => seen.filter((one) => one.serving).length;
      // Wanted ones that have no place are taken out first: what remains is what counts.
      const settled = states.findIndex((seen) => plan(seen, { ...wish, mode: "cluster" }).kind !== "discard");
      const atFirst = serving(states[settled] ?? []);
      for (const seen of states.slice(settled)) {
        expect(serving(seen)).toBeGreaterThanOrEqual(Math.min(atFirst, wish.count));
        expect(serving(seen)).toBeLessThanOrEqual(Math.max(atFirst + 1, wish.count + wish.surge));
      }
    }),
    { numRuns: 2000 },
  );
});

test("nothing that serves is retired before one that replaces it is proven", () => {
  fc.assert(
    fc.property(processes, wishes, (begin, wish) => {
      const { states, actions } = run(begin, wish);
      for (const [index, action] of actions.entries()) {
        if (action.kind !== "retire") continue;
        const proven = (states[index] ?? []).filter((one) => one.proven).length;
        expect(proven).toBeGreaterThan(0);
      }
    }),
    { numRuns: 2000 },
  );
});

const one = (facts: Partial<Seen>): Seen => ({
  pmId: 0,
  number: 0,
  wanted: false,
  proven: false,
  serving: true,
  broken: false,
  mode: "cluster",
  ...facts,
});

test("only one is started until it is proven, and not number 0 where there are several", () => {
  const old = [0, 1, 2, 3].map((number) => one({ pmId: number, number }));
  const { actions } = run(old, { count: 4, mode: "cluster", surge: 2, standby: false });
  expect(actions.filter(({ kind }) => kind === "start" || kind === "retire")).toEqual([
    { kind: "start", numbers: [3] },
    { kind: "start", numbers: [0] },
    { kind: "retire", pmIds: [0, 1] },
    { kind: "start", numbers: [1, 2] },
    { kind: "retire", pmIds: [2, 3] },
  ]);
});

test("where the others can stand by, they boot beside the first, and the first is proven alone", () => {
  const old = Array.from({ length: 4 }, (_, number) => one({ pmId: number, number }));
  const { actions } = run(old, { count: 4, mode: "cluster", surge: 4, standby: true });
  expect(actions).toEqual([
    { kind: "start", numbers: [3, 0, 1, 2] },
    { kind: "prove", pmIds: [4] },
    { kind: "prove", pmIds: [5, 6, 7] },
    { kind: "retire", pmIds: [0, 1, 2, 3] },
    { kind: "done" },
  ]);
  const short = run(old, { count: 4, mode: "cluster", surge: 2, standby: true }).actions;
  expect(short.filter(({ kind }) => kind === "start" || kind === "retire")).toEqual([
    { kind: "start", numbers: [3, 0] },
    { kind: "retire", pmIds: [0, 1] },
    { kind: "start", numbers: [1, 2] },
    { kind: "retire", pmIds: [2, 3] },
  ]);
});

test("after a kill in between, of new ones that nobody has proven one is proven before the rest", () => {
  const seen = [
    one({ pmId: 0, number: 0 }),
    one({ pmId: 1, number: 0, wanted: true }),
    one({ pmId: 2, number: 1, wanted: true }),
  ];
  expect(plan(seen, { count: 2, mode: "cluster", surge: 2, standby: true })).toEqual({
    kind: "prove",
    pmIds: [2],
  });
});

test("where nothing serves, all are started at once", () => {
  const dead = one({ pmId: 0, number: 0, serving: false });
  for (const standby of [true, false])
    expect(plan([dead], { count: 3, mode: "cluster", surge: 1, standby })).toEqual({
      kind: "start",
      numbers: [0, 1, 2],
    });
});

test("in fork mode the old ones make room first", () => {
  const old: Seen = {
    pmId: 7,
    number: 0,
    wanted: false,
    proven: false,
    serving: true,
    broken: false,
    mode: "fork",
  };
  const { actions } = run([old], { count: 1, mode: "fork", surge: 1, standby: false });
  expect(actions.map(({ kind }) => kind)).toEqual(["halt", "start", "prove", "retire", "done"]);
  // Also where a cluster follows on a process that holds the port itself.
  expect(plan([old], { count: 2, mode: "cluster", surge: 1, standby: false })).toEqual({
    kind: "halt",
    pmIds: [7],
  });
});

test("a share of surge is rounded up and is never nothing", () => {
  expect([surgeOf("50%", 2), surgeOf("50%", 3), surgeOf("1%", 3), surgeOf(3, 2), surgeOf("100%", 8)]).toEqual(
    [1, 2, 1, 3, 8],
  );
});
