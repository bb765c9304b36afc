import { join } from "node:path";
import { onTestFinished } from "vitest";
import { runCommand } from "../../src/adapters/command.js";
import { createGit } from "../../src/adapters/git.js";
import { reap } from "../../src/adapters/processes.js";
import type { Running } from "../../src/domain/deploy.js";
import { baseEnv } from "../../src/pipeline/env.js";
import { createWorld } from "./pipeline.js";
import { createRepo } from "./repo.js";
import { makeTempDir, removeTempDir } from "./temp.js";

/** A repository and the pipeline that deploys it: everything is real but what serves. */
export function deployer(more: object | ((dir: string) => object) = {}, home?: string) {
  const dir = makeTempDir("pipeline");
  onTestFinished(() => removeTempDir(dir));
  const repo = createRepo(dir);
  const root = join(dir, "api");
  const env = {
    ...baseEnv(process.env),
    HOME: home ?? dir,
    DEPLOY_SECRET: "hush-hush",
    NODE_ENV: "production",
  };
  const world = createWorld(root, {
    repository: repo.url,
    install: "auto",
    build: "auto",
    migrate: undefined,
    ...(typeof more === "function" ? more(dir) : more),
  });
  const deploy = (commit: string, over: Partial<Running> = {}, signal?: AbortSignal) => {
    // By it processes are found and ended; the same commit may be made at the same time in another run.
    world.begin({
      id: `d-${commit.slice(0, 9)}-${process.pid}`,
      commit: { sha: commit, message: "", author: "" },
      ...over,
    });
    return world.run(signal, {
      git: (app) => createGit({ app, env, backoffMs: [] }),
      run: runCommand,
      reap: (marker) => reap(marker, { graceMs: 200 }),
      env,
    });
  };
  const released = (path: string) => join(root, "releases", world.stored.deploy.release ?? "", path);
  const steps = () => Object.fromEntries(world.stored.deploy.steps.map(({ name, status }) => [name, status]));
  return { dir, repo, root, env, deploy, released, steps, ...world };
}
