import { existsSync } from "node:fs";
import { join } from "node:path";
import type { AppConfig } from "../config/schema.js";
import { Fault } from "../domain/fault.js";
import { isSha } from "../domain/ref.js";
import { judge, plain } from "./git-faults.js";
import { nameOrigin } from "./git-origin.js";
import { createGitRun } from "./git-run.js";

export interface OriginHeadOptions {
  /** A folder of its own: the mirror belongs to the deploys, and what fails there takes its processes along. */
  dir: string;
  env: NodeJS.ProcessEnv;
  /** Silence after which the origin is given up. Milliseconds. */
  stallMs?: number;
}

type App = Pick<AppConfig, "name" | "repository" | "branch">;

/**
 * Asks an app's origin for the head of the app's branch, and fetches nothing; undefined when there is no such branch.
 * Fault `git_auth` | `git_unreachable`, and what else `judge` finds.
 */
export function createOriginHead({ dir, env, stallMs = 60_000 }: OriginHeadOptions) {
  return async function originHead(app: App, signal?: AbortSignal): Promise<string | undefined> {
    const gitDir = join(dir, app.name);
    const run = createGitRun(gitDir, env);
    const ref = `refs/heads/${app.branch}`;
    try {
      if (!existsSync(join(gitDir, "HEAD"))) await run(["init", "--bare", "--quiet"]);
      await nameOrigin(run, gitDir, app.repository);
      const answer = await run(["ls-remote", "--heads", "origin", ref], { signal, stallMs });
      const line = answer.split("\n").find((one) => one.endsWith(`\t${ref}`));
      const sha = line?.split("\t")[0] ?? "";
      return isSha(sha) ? sha : undefined;
    } catch (error) {
      signal?.throwIfAborted();
      const verdict = judge(error, app.repository);
      if (verdict.kind === "fault") throw verdict.fault;
      throw new Fault(
        "git_unreachable",
        `${plain(app.repository)} could not be asked: ${verdict.words}`,
        "See whether the git server can be reached from here (`git ls-remote`).",
      );
    }
  };
}
