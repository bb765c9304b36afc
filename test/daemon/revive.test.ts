import { describe, expect, it } from "vitest";
import type { AppConfig } from "../../src/config/schema.js";
import { createRevive } from "../../src/daemon/revive.js";
import type { Instance, LogWriter } from "../../src/domain/ports.js";
import type { Rollout } from "../../src/rollout/types.js";

/** Less than from one look to the next. */
const graceMs = 400;
const names = ["a", "b", "c"];

/** A PM2 that has of each app what is in `runs`; `asked` is called before each look at it. */
function lost({ asked }: { asked?(runs: Set<string>, count: number): void } = {}) {
  const runs = new Set<string>();
  const happened: string[] = [];
  const apps = Object.fromEntries(names.map((name) => [name, { name, env: {} } as unknown as AppConfig]));
  const refuse = () => Promise.reject(new Error("not here"));
  let looks = 0;
  const rollout: Rollout = {
    preflight: refuse,
    watch: refuse,
    withdraw: refuse,
    save: async () => {},
    close: async () => {},
    async instances({ name }) {
      asked?.(runs, ++looks);
      happened.push(`look ${name}`);
      return runs.has(name) ? [{ name } as Instance] : [];
    },
    async converge({ app }) {
      runs.add(app.name);
      happened.push(`start ${app.name}`);
    },
  };
  const revive = createRevive({
    apps,
    rollout,
    graceMs,
    releases: () => ({ find: (name: string) => ({ name, path: `/${name}` }) }) as never,
    stateOf: () => ({ live: { release: "r", deploy: "d", sha: "s", since: "" } }),
    running: () => undefined,
    logOf: () => refuse as never,
  });
  const log = { say: () => {} } as unknown as LogWriter;
  return { happened, look: () => revive.lost(log) };
}

describe("reviving", () => {
  it("waits for PM2 once for all that it has lost", async () => {
    const { happened, look } = lost();
    await look();
    const begins = happened.filter((what) => what.startsWith("start"));
    expect(begins).toEqual(["start a", "start b", "start c"]);
    const [a = 0, b = 0, c = 0] = begins.map((what) => happened.indexOf(what));
    // Without another pause: each is looked at once more, with what PM2 has of the others.
    const one = 1 + names.length;
    expect([b - a - 1, c - b - 1]).toEqual([one, one]);
    expect(a).toBeGreaterThan(one);
  });

  it("starts nothing while PM2 itself is bringing apps back", async () => {
    const each = 1 + names.length;
    const { happened, look } = lost({
      // One app with each look; together they take PM2 longer than it is given for one.
      asked(runs, count) {
        if (count > each) runs.add("c");
        if (count > 2 * each) runs.add("b");
        if (count > 3 * each) runs.add("a");
      },
    });
    await look();
    expect(happened.filter((what) => what.startsWith("start"))).toEqual([]);
  });
});
