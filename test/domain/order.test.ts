import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { chosen, type Standing, whyNot } from "../../src/domain/order.js";

/** A history in memory: each commit's parents have smaller numbers. */
interface History {
  parents: number[][];
  contains(outer: string, inner: string): boolean;
  newest(shas: string[]): string | undefined;
}
const name = (index: number): string => index.toString(16).padStart(40, "0");

function history(parents: number[][]): History {
  const reach: Set<number>[] = [];
  parents.forEach((of, index) => {
    reach[index] = new Set([index, ...of.flatMap((parent) => [...(reach[parent] ?? [])])]);
  });
  const contains = (outer: string, inner: string) =>
    reach[Number.parseInt(outer, 16)]?.has(Number.parseInt(inner, 16)) ?? false;
  return {
    parents,
    contains,
    newest: (shas) => shas.find((one) => shas.every((other) => contains(one, other))),
  };
}

/** A branch as people make one: each head is built on the one before, with merges of older work. */
const branch = fc.array(fc.tuple(fc.boolean(), fc.nat()), { minLength: 1, maxLength: 12 }).map((commits) => {
  const parents: number[][] = [[]];
  const heads = [0];
  for (const [merges, seed] of commits) {
    const head = heads.at(-1) ?? 0;
    const index = parents.length;
    if (merges && index > 1) {
      parents.push([seed % index]);
      parents.push([head, index]);
      heads.push(index + 1);
    } else {
      parents.push([head]);
      heads.push(index);
    }
  }
  return { tree: history(parents), heads: heads.map(name) };
});

interface Server {
  live?: string;
  left?: { sha: string; deploy: string; automatic: boolean };
}
const judge = (tree: History, server: Server, head: string, sha: string, more: Partial<Standing> = {}) =>
  whyNot({
    byPerson: false,
    sha,
    head,
    live: server.live ? { sha: server.live, contains: tree.contains(server.live, sha) } : undefined,
    left: server.left ? { ...server.left, contains: tree.contains(server.left.sha, sha) } : undefined,
    touches: true,
    ...more,
  });

describe("a waiting deploy", () => {
  it("is for the commit that contains all it stands for, in whatever order they came", () => {
    fc.assert(
      fc.property(branch, fc.infiniteStream(fc.nat()), ({ tree, heads }, dice) => {
        const pushed = heads.filter(() => (dice.next().value ?? 0) % 2 === 0);
        if (pushed.length === 0) return;
        const shuffled = [...pushed].sort(() => ((dice.next().value ?? 0) % 2 === 0 ? 1 : -1));
        const sha = chosen(shuffled[0] ?? "", shuffled, tree.newest(shuffled));
        expect(sha).toBe(pushed.at(-1));
      }),
    );
  });

  it("is for its own where none contains the others", () => {
    expect(chosen("b", ["a", "b"], undefined)).toBe("b");
    expect(chosen("gone", ["a", "b"], undefined)).toBe("a");
  });
});

describe("what is live", () => {
  it("never goes backwards by deliveries, however late, repeated and shuffled; at the end the head is live", () => {
    fc.assert(
      fc.property(branch, fc.array(fc.nat(), { maxLength: 30 }), ({ tree, heads }, deliveries) => {
        const head = heads.at(-1) ?? "";
        const server: Server = {};
        for (const delivery of [...deliveries.map((pick) => heads[pick % heads.length] ?? ""), head]) {
          const before = server.live;
          if (judge(tree, server, head, delivery) === undefined) server.live = delivery;
          if (before) expect(tree.contains(server.live ?? "", before)).toBe(true);
        }
        expect(server.live).toBe(head);
      }),
    );
  });

  it("does not come back to what was rolled back, nor to anything in it, until something newer is pushed", () => {
    fc.assert(
      fc.property(
        branch,
        fc.nat(),
        fc.array(fc.nat(), { maxLength: 20 }),
        ({ tree, heads }, at, deliveries) => {
          if (heads.length < 3) return;
          const bad = 1 + (at % (heads.length - 2));
          const server: Server = {
            live: heads[bad - 1],
            left: { sha: heads[bad] ?? "", deploy: "bad", automatic: true },
          };
          for (const pick of deliveries) {
            const sha = heads[pick % (bad + 1)] ?? "";
            expect(judge(tree, server, heads[bad] ?? "", sha)).toBeDefined();
          }
          expect(judge(tree, server, heads[bad + 1] ?? "", heads[bad + 1] ?? "")).toBeUndefined();
          // Sent again by a person, after dropless had gone back by itself; not after a person had.
          const again = (automatic: boolean) =>
            whyNot({
              byPerson: false,
              sha: heads[bad] ?? "",
              head: heads[bad] ?? "",
              live: { sha: heads[bad - 1] ?? "", contains: false },
              left: { sha: heads[bad] ?? "", deploy: "bad", automatic, contains: true },
              repeats: "bad",
              touches: true,
            });
          expect(again(true)).toBeUndefined();
          expect(again(false)?.code).toBe("contained_in_left");
        },
      ),
    );
  });

  it("follows a branch that was reset on purpose, and only to its head", () => {
    const tree = history([[], [0], [1], [2]]);
    const server = { live: name(3) };
    expect(judge(tree, server, name(1), name(1))).toBeUndefined();
    expect(judge(tree, server, name(1), name(0))?.code).toBe("contained_in_live");
  });

  it("is not deployed again, unless by a person", () => {
    const tree = history([[], [0]]);
    const server = { live: name(1), left: { sha: name(1), deploy: "x", automatic: false } };
    expect(judge(tree, server, name(1), name(1))?.code).toBe("already_live");
    expect(judge(tree, server, name(1), name(1), { byPerson: true })).toBeUndefined();
    expect(judge(tree, server, name(1), name(0), { byPerson: true, touches: false })).toBeUndefined();
  });

  it("stays when nothing under watch differs; a first deploy is made in any case", () => {
    const tree = history([[], [0]]);
    expect(judge(tree, { live: name(0) }, name(1), name(1), { touches: false })?.code).toBe(
      "nothing_watched_changed",
    );
    expect(judge(tree, {}, name(1), name(0), { touches: false })).toBeUndefined();
  });
});
