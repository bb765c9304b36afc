import { existsSync, mkdtempSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Outcome } from "../../src/domain/deploy.js";
import { Fault } from "../../src/domain/fault.js";
import type { Recorder } from "../../src/domain/ports.js";
import { createPipeline, type PipelineDeps } from "../../src/pipeline/pipeline.js";
import { createWorld, endingOf, lineGit, memoryRecorder, never, sha } from "../support/pipeline.js";
import { removeTempDir, tempDir } from "../support/temp.js";

/**
 * A daemon that dies between two of its actions: from its `at`-th one on, nothing it does has an effect any more.
 * `after` lets that one still happen, as a kill does that comes before its answer.
 */
function mortal(at: number, after: boolean) {
  const controller = new AbortController();
  let actions = 0;
  let dead = false;
  const die = (): never => {
    dead = true;
    controller.abort("handover");
    throw new Error("killed");
  };
  const guard = <T extends object>(target: T): T =>
    new Proxy(target, {
      get(object, key, receiver) {
        const value = Reflect.get(object, key, receiver);
        if (typeof value !== "function") return value;
        return (...args: unknown[]) => {
          if (dead) return die();
          // One may call another.
          const action = ++actions;
          if (action === at && !after) return die();
          const result = value.apply(object, args);
          if (action !== at) return result;
          if (result instanceof Promise) return result.then(die);
          return die();
        };
      },
    });
  return { guard, signal: controller.signal, died: () => dead };
}

/** In memory where there is such a folder: a thousand releases are made durable here. */
function quickDir(): string {
  if (!existsSync("/dev/shm")) return tempDir();
  const dir = mkdtempSync("/dev/shm/dropless-crash-");
  onTestFinished(() => removeTempDir(dir));
  return dir;
}

type World = ReturnType<typeof createWorld>;

function run(world: World, life?: ReturnType<typeof mortal>): Promise<Outcome> {
  const guard = life ? life.guard : <T extends object>(target: T): T => target;
  const git = guard(lineGit(sha("c")));
  const releases = guard(world.releases);
  const commands = guard({ run: world.deps.run });
  const deps: PipelineDeps = {
    ...world.deps,
    git: () => git,
    releases: () => releases,
    rollout: guard(world.deps.rollout),
    run: (options) => commands.run(options),
  };
  const recorder: Recorder = guard(memoryRecorder(world.stored));
  const signal = life?.signal ?? never();
  return createPipeline(deps)(recorder, signal, endingOf(signal));
}

const scenarios: [string, (world: World) => void, Outcome["status"]][] = [
  ["a good deploy", () => {}, "succeeded"],
  [
    "one that fails when an instance was replaced",
    ({ faults }) => {
      faults.half = new Fault("unhealthy", "It answers 500", "");
    },
    "rolled_back",
  ],
  [
    "one that fails in its watch",
    ({ faults }) => {
      faults.watch = new Fault("died_in_watch", "An instance died", "");
    },
    "rolled_back",
  ],
  [
    "one that fails before its rollout",
    ({ faults }) => {
      faults.preflight = new Fault("crashed_at_boot", "It crashed", "");
    },
    "failed",
  ],
];

describe.each(scenarios)("killed before and after each of its actions, %s", (_, spoil, status) => {
  test.each([
    ["later", false],
    ["first", true],
  ])(
    "as a %s deploy, is finished or rolled back by the next start",
    async (_, first) => {
      const root = quickDir();
      let kills = 0;
      for (let at = 1, ended = false; !ended; at++) {
        for (const after of [false, true]) {
          const world = createWorld(join(root, `${at}-${after}`));
          const old = first ? undefined : await world.deployed("d0", sha("a"));
          world.begin({ id: "d1" });
          spoil(world);
          const life = mortal(at, after);
          const inOneGo = await run(world, life);
          const outcome = life.died() ? await run(world) : inOneGo;
          if (life.died()) kills++;
          else ended = true;

          const wanted = first && status === "rolled_back" ? "failed" : status;
          const where = `${at}${after ? " after" : ""}: ${JSON.stringify(outcome)}`;
          expect(outcome.status, where).toBe(wanted);
          const serving = wanted === "succeeded" ? world.stored.deploy.release : old;
          expect(world.stored.app.live?.release, where).toBe(serving);
          expect(world.releases.current(), where).toBe(serving);
          expect(
            world.world.instances.map(({ release }) => release),
            where,
          ).toEqual(serving ? [serving, serving] : []);
          // Nothing half-built is left over.
          if (wanted !== "rolled_back") {
            await world.releases.sweep();
            const folders = readdirSync(join(world.app.root, "releases"));
            expect(folders.sort(), where).toEqual([...new Set([old, serving])].filter(Boolean).sort());
          }
        }
      }
      expect(kills).toBeGreaterThan(40);
    },
    120_000,
  );
});
