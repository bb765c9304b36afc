import { existsSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Fault } from "../../src/domain/fault.js";
import type { StepName } from "../../src/domain/step.js";
import type { PipelineDeps } from "../../src/pipeline/pipeline.js";
import { createWorld, instance, lineGit, never, sha } from "../support/pipeline.js";
import { tempDir } from "../support/temp.js";

type World = ReturnType<typeof createWorld>;
/** Where it goes wrong; `half` is a rollout that had replaced an instance already. */
type Place = Exclude<StepName, "rollout"> | "beforeRollout" | "converge" | "half";
const places: Place[] = [
  "fetch",
  "install",
  "build",
  "migrate",
  "preflight",
  "beforeRollout",
  "converge",
  "half",
  "activate",
  "watch",
  "prune",
];
const stepOfPlace = (place: Place): StepName =>
  place === "beforeRollout" || place === "converge" || place === "half" ? "rollout" : place;

/** Makes `place` go wrong by `fail`, which throws. */
function break_(world: World, place: Place, fail: () => never): Partial<PipelineDeps> {
  const { deps, faults, releases } = world;
  const command = { install: "install", build: "make", migrate: "migrate", beforeRollout: "hook" };
  switch (place) {
    case "fetch":
      return { git: () => ({ ...lineGit(sha("c")), fetch: async () => fail() }) };
    case "install":
    case "build":
    case "migrate":
    case "beforeRollout":
      return {
        run: async (options) => (options.command === command[place] ? fail() : deps.run(options)),
      };
    case "activate": {
      let first = true;
      const activate: typeof releases.activate = (release) => {
        if (!first) return releases.activate(release);
        first = false;
        fail();
      };
      return { releases: () => ({ ...releases, activate }) };
    }
    case "prune":
      return { releases: () => ({ ...releases, prune: async () => fail() }) };
    case "preflight":
    case "watch":
    case "converge":
    case "half": {
      Object.defineProperty(faults, place, {
        configurable: true,
        get: () => {
          try {
            fail();
          } catch (error) {
            return error;
          }
        },
      });
      return {};
    }
  }
}

const seenByUsers = new Set<Place>(["half", "activate", "watch"]);

async function setUp(first: boolean) {
  const world = createWorld(join(tempDir(), "app"), { hooks: { beforeRollout: "hook" } });
  const old = first ? undefined : await world.deployed("d0", sha("a"));
  world.begin({ id: "d1" });
  world.world.calls.length = 0;
  const before = world.world.instances;
  return { ...world, old, before };
}

const newReleases = ({ releases, stored }: World) =>
  stored.deploy.release && releases.find(stored.deploy.release) ? [stored.deploy.release] : [];

describe.each([
  ["a later deploy", false],
  ["a first deploy", true],
] as const)("%s", (_, first) => {
  test.each(places)("that fails in %s", async (place) => {
    const world = await setUp(first);
    const over = break_(world, place, () => {
      throw new Fault("broken", "It is broken", "Mend it.");
    });
    const outcome = await world.run(undefined, over);
    const { stored } = world;
    if (place === "prune") {
      expect(outcome).toEqual({ status: "succeeded" });
      expect(stored.app.live?.deploy).toBe("d1");
      return;
    }
    const status = seenByUsers.has(place) && !first ? "rolled_back" : "failed";
    const migrated = ["preflight", "beforeRollout", "converge", "half", "activate", "watch"].includes(place);
    const message = migrated ? "It is broken; the migration stays applied" : "It is broken";
    expect(outcome).toEqual({
      status,
      error: { code: "broken", message, hint: "Mend it.", step: stepOfPlace(place) },
    });
    expect(stored.deploy.steps.find(({ name }) => name === stepOfPlace(place))?.status).toBe("failed");
    // What serves, what the store says serves, and what `current` says, are the same again.
    expect(world.world.instances.map(({ release }) => release)).toEqual(first ? [] : [world.old, world.old]);
    expect(stored.app.live?.release).toBe(world.old);
    expect(world.releases.current()).toBe(world.old);
    expect(newReleases(world)).toEqual([]);
    if (status === "failed" && !first) expect(world.world.instances).toEqual(world.before);
    expect(stored.app.left).toEqual(
      status === "rolled_back" ? { sha: sha("b"), deploy: "d1", automatic: true } : undefined,
    );
  });

  test.each(places)("that is canceled in %s", async (place) => {
    const world = await setUp(first);
    const controller = new AbortController();
    const over = break_(world, place, () => {
      controller.abort("cancel");
      throw controller.signal.reason;
    });
    const outcome = await world.run(controller.signal, over);
    if (place === "prune") return expect(outcome).toEqual({ status: "succeeded" });
    expect(outcome).toMatchObject({
      status: "canceled",
      error: { code: "canceled", step: stepOfPlace(place) },
    });
    expect(world.world.instances.map(({ release }) => release)).toEqual(first ? [] : [world.old, world.old]);
    expect(world.stored.app.live?.release).toBe(world.old);
    expect(world.releases.current()).toBe(world.old);
    expect(newReleases(world)).toEqual([]);
  });

  test.each(places)(
    "that is handed over in %s changes nothing, and the next start finishes it",
    async (place) => {
      const world = await setUp(first);
      const controller = new AbortController();
      let handing = true;
      const over = break_(world, place, () => {
        if (handing) controller.abort("handover");
        throw handing ? controller.signal.reason : new Error("not again");
      });
      const outcome = await world.run(controller.signal, over);
      if (place === "prune") return expect(outcome).toEqual({ status: "succeeded" });
      expect(outcome).toMatchObject({ error: { code: "handed_over" } });
      expect(world.stored.deploy.decision).not.toBe("back");
      handing = false;
      for (const name of ["preflight", "watch", "converge", "half"] as const)
        Object.defineProperty(world.faults, name, { configurable: true, value: undefined });
      expect(await world.run()).toEqual({ status: "succeeded" });
      const release = world.stored.deploy.release;
      expect(world.stored.app.live).toMatchObject({ release, deploy: "d1", sha: sha("b") });
      expect(world.world.instances.map((one) => one.release)).toEqual([release, release]);
      // Resume rather than repeat.
      for (const line of ["install", "make", "migrate"])
        expect(world.commands.filter((command) => command === line)).toHaveLength(first ? 1 : 2);
    },
  );
});

test("a stop of the daemon on the way back after a cancel hands over at once, and the next start ends it", async () => {
  const world = await setUp(false);
  const cancel = new AbortController();
  const end = new AbortController();
  Object.defineProperty(world.faults, "watch", {
    get: () => {
      cancel.abort("cancel");
      world.stored.deploy = { ...world.stored.deploy, cancelRequested: true };
      return cancel.signal.reason;
    },
  });
  const { rollout } = world.deps;
  // A way back that takes for ever, unless it is told that the process ends.
  const hanging: typeof rollout = {
    ...rollout,
    converge: (target, io) =>
      io.trusted
        ? new Promise((_, reject) => {
            io.signal.addEventListener("abort", () => reject(io.signal.reason));
            end.abort("handover");
          })
        : rollout.converge(target, io),
  };
  const outcome = await world.run(cancel.signal, { rollout: hanging }, end.signal);
  expect(outcome).toMatchObject({ error: { code: "handed_over" } });
  expect(world.stored.deploy.decision).toBe("back");
  expect(await world.run(cancel.signal)).toMatchObject({ status: "canceled" });
  expect(world.world.instances.map(({ release }) => release)).toEqual([world.old, world.old]);
  expect(world.stored.app.live?.release).toBe(world.old);
});

describe("a deploy in which the daemon has died too often", () => {
  const hopeless = { count: 4, progress: 0 };

  test("before its rollout: it fails, saying where, and what was half built is gone", async () => {
    const world = await setUp(false);
    const over = break_(world, "build", () => {
      throw new Error("the daemon dies here");
    });
    await world.run(undefined, over);
    world.stored.deploy = {
      ...world.stored.deploy,
      steps: world.stored.deploy.steps.map((step) =>
        step.name === "build" ? { ...step, status: "running" } : step,
      ),
      resumes: hopeless,
    };
    const before = world.commands.length;
    const outcome = await world.run();
    expect(outcome).toMatchObject({
      status: "failed",
      error: { code: "crashed_the_daemon", step: "build", message: expect.stringContaining("in its build") },
    });
    expect(world.commands).toHaveLength(before);
    expect(newReleases(world)).toEqual([]);
    expect(world.world.instances.map(({ release }) => release)).toEqual([world.old, world.old]);
  });

  test("in its rollout: the previous release is put back", async () => {
    const world = await setUp(false);
    world.faults.half = new Fault("handed_over", "", "");
    const end = new AbortController();
    end.abort("handover");
    await world.run(undefined, {}, end.signal);
    expect(world.stored.deploy.steps.find(({ name }) => name === "rollout")?.status).toBe("running");
    world.stored.deploy = { ...world.stored.deploy, resumes: hopeless };
    expect(await world.run()).toMatchObject({
      status: "rolled_back",
      error: { code: "crashed_the_daemon", step: "rollout" },
    });
    expect(world.world.instances.map(({ release }) => release)).toEqual([world.old, world.old]);
    expect(world.stored.app.live?.release).toBe(world.old);
  });

  test("in its prune: it has succeeded, and nothing is pruned", async () => {
    const world = await setUp(false);
    await world.run(undefined, {
      releases: () => ({
        ...world.releases,
        prune: async () => {
          throw new Error("the daemon dies here");
        },
      }),
    });
    world.stored.deploy = {
      ...world.stored.deploy,
      steps: world.stored.deploy.steps.map((step) =>
        step.name === "prune" ? { ...step, status: "running" } : step,
      ),
      resumes: hopeless,
    };
    expect(await world.run()).toEqual({ status: "succeeded" });
    expect(world.stored.deploy.steps.at(-1)?.status).toBe("failed");
    expect(world.log.text()).toContain("4 times in a row");
  });
});

test("a good deploy: every step, the receipt, the link, the dump saved after its success", async () => {
  const world = createWorld(join(tempDir(), "app"), { hooks: { afterRollout: "after" } });
  await world.deployed("d0", sha("a"));
  const release = await world.deployed("d1", sha("b"));
  expect(world.stored.deploy.steps.map(({ status }) => status)).toEqual(Array(9).fill("succeeded"));
  expect(world.stored.deploy).toMatchObject({
    decision: "forward",
    receipt: { probes: 1204, failed: 0, maxGapMs: 31 },
    commit: { sha: sha("b"), message: "change b", author: "Ada" },
  });
  expect(world.log.text()).toContain("Receipt: 1,204 probes, 0 failed, longest gap 31 ms\n");
  expect(readlinkSync(join(world.app.root, "current"))).toBe(`releases/${release}`);
  expect(world.world.saved).toBe(2);
  expect(world.commands.slice(-4)).toEqual(["install", "make", "migrate", "after"]);
});

test("what was removed is said, and what could not be, also when an earlier one stands in the way", async () => {
  const world = createWorld(join(tempDir(), "app"), { keep: 1 });
  const first = await world.deployed("d0", sha("a"));
  await world.deployed("d1", sha("b"));
  const stuck = new Fault("not_removed", "/x cannot be removed: /x/y is a mount point", "Unmount it.");
  world.begin({ id: "d2", commit: { sha: sha("c"), message: "change c", author: "Ada" } });
  const outcome = await world.run(undefined, {
    releases: () => ({ ...world.releases, sweep: () => Promise.reject(stuck) }),
  });
  expect(outcome).toEqual({ status: "succeeded" });
  expect(world.stored.deploy.steps.at(-1)).toMatchObject({ name: "prune", status: "failed" });
  expect(world.log.text()).toContain(`Removed ${first}\n`);
  expect(world.log.text()).toContain(
    "Warning: not everything was tidied up: /x cannot be removed: /x/y is a mount point. Unmount it.\n",
  );
});

test("a hook after the rollout that fails takes nothing back", async () => {
  const world = createWorld(join(tempDir(), "app"), { hooks: { afterRollout: "after" } });
  const { deps } = world;
  const outcome = await world.run(undefined, {
    run: async (options) => {
      if (options.command === "after") throw new Fault("hook_failed", "`after` ended with exit code 1", "");
      return deps.run(options);
    },
  });
  expect(outcome).toEqual({ status: "succeeded" });
  expect(world.log.text()).toContain("Warning: hooks.afterRollout failed: `after` ended with exit code 1");
});

test("where going back fails as well, both reasons are told and the new release is kept for a look", async () => {
  const world = await setUp(false);
  world.faults.watch = new Fault("died_in_watch", "An instance died", "Read its log.");
  world.faults.back = new Fault("pm2_unreachable", "PM2 does not answer", "Start PM2.");
  expect(await world.run()).toMatchObject({
    status: "rollback_failed",
    error: {
      code: "rollback_failed",
      step: "watch",
      message: expect.stringContaining("PM2 does not answer"),
    },
  });
  expect(newReleases(world)).toHaveLength(1);
  expect(world.stored.deploy.decision).toBe("back");
});

test("instances that were broken beside the old ones have been seen, though none was replaced", async () => {
  const world = await setUp(false);
  world.faults.converge = new Fault("broken_beside_old", "It answered 500", "Mend it.");
  expect(await world.run()).toMatchObject({ status: "rolled_back" });
});

test("where the probe saw failures, users did as well, though no instance was replaced", async () => {
  const world = await setUp(false);
  world.faults.converge = new Fault("unhealthy", "It answered 500", "Mend it.");
  const startProbe = () => ({ stop: async () => ({ probes: 10, failed: 1, maxGapMs: 300 }) });
  expect(await world.run(undefined, { startProbe })).toMatchObject({ status: "rolled_back" });
});

test.each([
  ["npm error code ENOSPC", "disk_full"],
  [
    "npm error `npm ci` can only install packages when your package.json and package-lock.json are in sync.",
    "install_failed",
  ],
])("what a command printed says more than its exit code: %s", async (text, code) => {
  const world = await setUp(false);
  const outcome = await world.run(undefined, {
    run: async ({ log }) => {
      log.write("stderr", Buffer.from(`${text}\nnpm error A complete log of this run can be found in: …\n`));
      throw new Fault("install_failed", "`npm ci` ended with exit code 1", "");
    },
  });
  expect(outcome).toMatchObject({ status: "failed", error: { code, step: "install" } });
  expect(outcome).not.toMatchObject({ error: { message: "`npm ci` ended with exit code 1" } });
});

test("where what a command printed is cut, no half of a secret is left to be quoted", async () => {
  const world = await setUp(false);
  // The last 16,384 characters begin in the midst of the secret.
  const line = "hush-hush TypeError: no\n";
  const printed = `${line}${"z\n".repeat(10_000)}`.slice(0, 16_384 + "hush-".length);
  const outcome = await world.run(undefined, {
    run: async ({ log }) => {
      log.write("stderr", Buffer.from(`first\n${printed}`));
      throw new Fault("install_failed", "`npm ci` ended with exit code 1", "");
    },
  });
  expect(outcome).toMatchObject({
    error: { message: "`npm ci` ended with exit code 1: *** TypeError: no" },
  });
});

test("an adopted app whose first deploy fails runs as it had", async () => {
  const world = createWorld(join(tempDir(), "app"));
  world.world.instances = [instance(1), instance(2)];
  world.faults.half = new Fault("crashed_at_boot", "It crashed", "");
  expect(await world.run()).toMatchObject({ status: "failed" });
  expect(world.world.calls.at(-1)).toBe("withdraw");
});

test("a note that the store will not take waits for room; users do not", async () => {
  const world = await setUp(false);
  world.faults.watch = new Fault("died_in_watch", "An instance died", "");
  let refused = 0;
  const { stored } = world;
  const { memoryRecorder } = await import("../support/pipeline.js");
  const { createPipeline } = await import("../../src/pipeline/pipeline.js");
  const recorder = memoryRecorder(stored);
  const whole = recorder.live;
  recorder.live = (live, left) => {
    if (stored.deploy.decision === "back" && refused++ < 3) throw new Error("database or disk is full");
    whole(live, left);
  };
  const outcome = await createPipeline(world.deps)(recorder, never(), never());
  expect(outcome.status).toBe("rolled_back");
  expect(stored.app.live?.release).toBe(world.old);
});

describe("skipped", () => {
  const left = { sha: sha("c"), deploy: "d9", automatic: true };
  test("says why, builds nothing and touches nothing", async () => {
    const world = createWorld(join(tempDir(), "app"));
    await world.deployed("d0", sha("b"));
    world.begin({ id: "d1", commit: { sha: sha("a"), message: "", author: "" } });
    const outcome = await world.run();
    expect(outcome).toMatchObject({ status: "skipped", error: { code: "contained_in_live", step: "fetch" } });
    expect(world.stored.deploy.release).toBeUndefined();
    expect(world.stored.deploy.steps.slice(1).every(({ status }) => status === "skipped")).toBe(true);
  });
  test("what a rollback left does not come again by itself, only by a Redeliver of it", async () => {
    const world = createWorld(join(tempDir(), "app"));
    await world.deployed("d0", sha("b"));
    world.stored.app.left = left;
    world.begin({ id: "d1", commit: { sha: sha("c"), message: "", author: "" } });
    expect(await world.run()).toMatchObject({ status: "skipped", error: { code: "contained_in_left" } });
    world.begin({ id: "d2", commit: { sha: sha("c"), message: "", author: "" }, repeats: "d9" });
    expect(await world.run()).toEqual({ status: "succeeded" });
    expect(world.stored.app.left).toBeUndefined();
  });
  test("only what is under watch counts", async () => {
    const world = createWorld(join(tempDir(), "app"), { watch: ["apps/api/**", "packages"] });
    await world.deployed("d0", sha("a"));
    const deploy = async (id: string, files: string[]) => {
      world.begin({ id });
      return world.run(undefined, { git: () => lineGit(sha("c"), files) });
    };
    expect(await deploy("d1", ["docs/x.md", "apps/web/a.js", "packages.json"])).toMatchObject({
      error: { code: "nothing_watched_changed" },
    });
    expect(await deploy("d2", ["docs/x.md", "packages/.hidden/deep/x"])).toEqual({ status: "succeeded" });
  });
  test("a person's deploy runs in any case", async () => {
    const world = createWorld(join(tempDir(), "app"), { watch: ["apps/**"] });
    await world.deployed("d0", sha("c"));
    world.stored.app.left = left;
    world.begin({ id: "d1", trigger: "manual", commit: { sha: sha("c"), message: "", author: "" } });
    expect(await world.run(undefined, { git: () => lineGit(sha("c"), []) })).toEqual({ status: "succeeded" });
  });
});

describe("a step that does not apply", () => {
  const reasons = ({ stored }: World) =>
    Object.fromEntries(stored.deploy.steps.map(({ name, reason }) => [name, reason]));
  const files = (more: Record<string, string>): Partial<PipelineDeps> => ({
    git: () => ({
      ...lineGit(sha("a")),
      async checkout(_sha, into) {
        for (const [name, text] of Object.entries(more)) writeFileSync(join(into, name), text);
      },
    }),
  });
  const auto = { install: "auto", build: "auto", migrate: undefined };

  test.each([
    [
      "by the configuration",
      { install: false, build: false, migrate: undefined, preflight: false },
      {},
      {
        install: "Nothing to install: `install` is false",
        build: "Nothing to build: `build` is false",
        migrate: "Nothing to migrate: `migrate` is not configured",
        preflight: "No boot aside: `preflight` is false",
      },
    ],
    [
      "without a package.json",
      auto,
      {},
      {
        install: "Nothing to install: there is no package.json",
        build: "Nothing to build: there is no package.json",
      },
    ],
    [
      "with one that asks for nothing",
      auto,
      { "package.json": "{}" },
      {
        install: "Nothing to install: package.json names no dependency, and there is no lockfile",
        build: "Nothing to build: package.json has no script `build`",
      },
    ],
  ])("%s says why, in its log and its step", async (_what, more, tree, expected) => {
    const world = createWorld(join(tempDir(), "app"), more);
    world.begin({ id: "d1" });
    expect(await world.run(undefined, files(tree))).toEqual({ status: "succeeded" });
    expect(reasons(world)).toMatchObject(expected);
    for (const reason of Object.values(expected)) expect(world.log.lines()).toContain(reason);
    expect(reasons(world).rollout).toBeUndefined();
  });
});

describe("a rollback", () => {
  const back = { trigger: "rollback", ref: "", commit: { sha: "", message: "", author: "" } } as const;

  test("begins at the rollout, goes to the newest older release, and step by step further", async () => {
    const world = createWorld(join(tempDir(), "app"));
    const one = await world.deployed("d1", sha("a"));
    const two = await world.deployed("d2", sha("b"));
    const three = await world.deployed("d3", sha("c"));
    world.commands.length = 0;
    world.world.calls.length = 0;
    world.begin({ id: "d4", ...back });
    expect(await world.run()).toEqual({ status: "succeeded" });
    expect(world.commands).toEqual([]);
    expect(world.world.calls).toEqual([`converge ${two} trusted`, "watch"]);
    expect(world.stored.deploy).toMatchObject({ release: two, previous: three, commit: { sha: sha("b") } });
    expect(world.stored.deploy.steps.map(({ status }) => status)).toEqual([
      ...Array(5).fill("skipped"),
      ...Array(4).fill("succeeded"),
    ]);
    expect(world.stored.deploy.steps[1]).toMatchObject({
      name: "install",
      reason: expect.stringContaining("rollback"),
    });
    expect(world.stored.app.left).toEqual({ sha: sha("c"), deploy: "d3", automatic: false });
    expect(world.releases.current()).toBe(two);

    world.begin({ id: "d5", ...back });
    expect(await world.run()).toEqual({ status: "succeeded" });
    expect(world.stored.deploy.release).toBe(one);
    // Still the newest that was left: a late push of it must not come back over two rollbacks.
    expect(world.stored.app.left?.sha).toBe(sha("c"));

    world.begin({ id: "d6", ...back });
    expect(await world.run()).toMatchObject({ status: "failed", error: { code: "nothing_to_roll_back_to" } });
    expect(existsSync(join(world.app.root, "releases", one))).toBe(true);

    world.begin({ id: "d7", ...back, ref: three });
    expect(await world.run()).toEqual({ status: "succeeded" });
    expect(world.stored.app.live?.release).toBe(three);
  });

  test("that fails goes back to what was live, and removes nothing", async () => {
    const world = createWorld(join(tempDir(), "app"));
    const one = await world.deployed("d1", sha("a"));
    const two = await world.deployed("d2", sha("b"));
    world.faults.watch = new Fault("died_in_watch", "An instance died", "");
    world.begin({ id: "d3", ...back });
    expect(await world.run()).toMatchObject({ status: "rolled_back" });
    expect(world.stored.app.live).toMatchObject({ release: two, sha: sha("b") });
    expect(world.stored.app.left).toBeUndefined();
    expect(world.releases.find(one)).toBeDefined();
  });

  test.each(["../../etc", "20261121T200553-fffffff", "x"])("to %s is refused", async (ref) => {
    const world = createWorld(join(tempDir(), "app"));
    await world.deployed("d1", sha("a"));
    world.begin({ id: "d2", ...back, ref });
    expect(await world.run()).toMatchObject({ status: "failed", error: { code: "release_not_found" } });
    expect(world.world.instances).toHaveLength(2);
  });
});
