import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { AppConfig } from "../config/schema.js";
import { Fault } from "../domain/fault.js";
import { isRefName, isSha } from "../domain/ref.js";
import type { Stopwatch } from "../domain/stopwatch.js";
import { plainText } from "../domain/text.js";
import type { Git } from "../pipeline/ports.js";
import { readReleaseFile } from "../pipeline/release-file.js";
import type { StepIo } from "../rollout/types.js";
import { judge, lastWords, plain } from "./git-faults.js";
import { removeLeftovers } from "./git-leftovers.js";
import { nameOrigin } from "./git-origin.js";
import { createGitRun, type GitCall } from "./git-run.js";
import { reap } from "./processes.js";

export interface GitOptions {
  app: Pick<AppConfig, "repository" | "branch" | "root">;
  /** The daemon's environment; git gets of it what it needs to find programs, keys and proxies. */
  env: NodeJS.ProcessEnv;
  /** Waits between the attempts to fetch, milliseconds; their number is one less than that of the attempts. */
  backoffMs?: number[];
  /** A fetch without a sign of life for so long is given up. Milliseconds. */
  stallMs?: number;
  /** All attempts together, and a checkout, which may ask a server too (Git LFS), take so long at most. Milliseconds. */
  timeoutMs?: number;
  /** Runs while git does. */
  stopwatch?: Stopwatch;
}

const refspecs = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];

/** The mirror of one app. See the port for the faults. */
export function createGit(options: GitOptions): Git {
  const { app, env, backoffMs = [2_000, 8_000], stallMs = 60_000, timeoutMs = 900_000 } = options;
  const gitDir = join(app.root, "repo");
  const run = createGitRun(gitDir, env, options.stopwatch);
  const branchRef = `refs/heads/${app.branch}`;
  const where = plain(app.repository);

  const ask = async (args: string[], call?: GitCall): Promise<string> => {
    try {
      return (await run(args, call)).trim();
    } catch (error) {
      call?.signal?.throwIfAborted();
      throw new Fault(
        "git_failed",
        `git ${args[0]} failed in the mirror of ${where}: ${lastWords(error)}`,
        `Deploy again; when it stays so, remove ${gitDir}: it is made anew.`,
      );
    }
  };
  /** The sha of a full ref or of hex digits, so never an option; or undefined. */
  const look = async (revision: string): Promise<string | undefined> => {
    const found = await run(["rev-parse", "--verify", "--quiet", `${revision}^{commit}`])
      .then((text) => text.trim())
      .catch(() => "");
    return isSha(found) ? found : undefined;
  };

  /** A server that trickles gives signs of life for ever. Fault `fetch_timed_out`. */
  const within = async (io: StepIo, work: (io: StepIo) => Promise<void>): Promise<void> => {
    const limit = AbortSignal.timeout(timeoutMs);
    try {
      await work({ ...io, signal: AbortSignal.any([io.signal, limit]) });
    } catch (error) {
      io.signal.throwIfAborted();
      if (!limit.aborted) throw error;
      throw new Fault(
        "fetch_timed_out",
        `Fetching ${where} was stopped because it took longer than ${Math.round(timeoutMs / 1000)} s`,
        "See how fast the git server can be reached from here; raise the app's `timeouts.fetch` when it needs that long.",
      );
    }
  };

  const prepare = async (): Promise<void> => {
    if (app.repository.startsWith("-") || /^[a-z0-9+.-]+::/i.test(app.repository)) {
      throw new Fault(
        "git_unreachable",
        `${where} is not an address that dropless fetches from`,
        "Write an https, ssh or file address, or a local path, as the app's `repository`.",
      );
    }
    if (!existsSync(join(gitDir, "HEAD"))) await run(["init", "--bare", "--quiet"]);
    await nameOrigin(run, gitDir, app.repository);
  };
  const fetchOnce = async (io: StepIo): Promise<void> => {
    await reap(`git:${gitDir}`, { graceMs: 1_000 });
    removeLeftovers(gitDir);
    await prepare();
    const args = ["fetch", "--prune", "--force", "--progress", "--no-tags", "--no-write-fetch-head"];
    await run([...args, "--no-recurse-submodules", "origin", ...refspecs], { signal: io.signal, stallMs });
    if (await look(branchRef)) return;
    // To git a page of HTML may be a repository without anything in it.
    if ((await run(["for-each-ref", "--count=1"])).trim() === "")
      throw new Fault(
        "branch_not_found",
        `${where} has no branch ${app.branch}, nor any other: it is empty, or no repository`,
        "Check the app's `repository` (the page of a web site or a sign-in looks like this, too), or push that branch; `git ls-remote` of that address must list it.",
      );
    throw new Fault(
      "branch_not_found",
      `${where} has no branch ${app.branch}`,
      "Check the app's `branch`, or push that branch.",
    );
  };

  const fetch = async (io: StepIo): Promise<void> => {
    let rebuilt = false;
    for (let attempt = 0; ; ) {
      try {
        return await fetchOnce(io);
      } catch (error) {
        io.signal.throwIfAborted();
        if (error instanceof Fault) throw error;
        const verdict = judge(error, app.repository);
        if (verdict.kind === "fault") throw verdict.fault;
        if (verdict.kind === "corrupt" && !rebuilt) {
          rebuilt = true;
          io.log.say(`The mirror is damaged (${verdict.words}); making it anew`);
          rmSync(gitDir, { recursive: true, force: true });
          continue;
        }
        const wait = backoffMs[attempt++];
        if (wait === undefined) {
          throw new Fault(
            "git_unreachable",
            `${where} could not be fetched in ${attempt} attempts: ${verdict.words}`,
            "See whether the git server can be reached from here (`git ls-remote`), then deploy again.",
          );
        }
        io.log.say(`Fetching failed (${verdict.words}); trying again in ${wait / 1000} s`);
        const waited = options.stopwatch?.begin();
        await sleep(wait, undefined, { signal: io.signal })
          .catch(() => io.signal.throwIfAborted())
          .finally(waited);
      }
    }
  };

  const resolve = async (ref: string): Promise<string> => {
    const names = ref === "" ? [branchRef] : [ref.startsWith("refs/") ? ref : `refs/heads/${ref}`];
    if (!ref.startsWith("refs/")) names.push(`refs/tags/${ref}`);
    if (/^[0-9a-f]{7,64}$/.test(ref)) names.push(ref);
    if (ref === "" || isRefName(ref)) {
      for (const name of names) {
        const sha = await look(name);
        if (sha) return sha;
      }
    }
    throw new Fault(
      "commit_not_found",
      `${where} has no branch, tag or commit ${plain(ref).slice(0, 100)}`,
      "Push it first; a tag or branch is written by its name, a commit by seven digits of its hash at least.",
    );
  };

  /** Those of `shas` that are commits here. */
  const present = async (shas: string[]): Promise<string[]> => {
    const wanted = [...new Set(shas.filter(isSha))];
    if (wanted.length === 0) return [];
    const answer = await ask(["cat-file", "--batch-check"], { input: `${wanted.join("\n")}\n` });
    const there = new Set(answer.split("\n").map((line) => /^(\S+) commit /.exec(line)?.[1]));
    return wanted.filter((sha) => there.has(sha));
  };
  /** Of all commits in the histories of `shas`, one that is not reachable from `outer`. */
  const outside = async (shas: string[], outer: string): Promise<string[]> =>
    (await ask(["rev-list", "--stdin"], { input: `${shas.join("\n")}\n^${outer}\n` }))
      .split("\n")
      .filter(Boolean);

  const checkout = async (sha: string, into: string, io: StepIo): Promise<void> => {
    rmSync(`${gitDir}/release.index`, { force: true });
    const args = ["read-tree", "--reset", "-u", "--end-of-options", sha];
    await ask(args, { cwd: into, workTree: into, signal: io.signal });
    warnOfGaps(into, io);
  };

  return {
    fetch: (io) => within(io, fetch),
    resolve,
    head: () => resolve(""),
    async onBranch(shas) {
      const here = await present(shas);
      const lost = shas[0]?.slice(0, 12) ?? "";
      if (here.length === 0) {
        throw new Fault(
          "commit_not_found",
          `Commit ${lost} is not in ${where}`,
          "It was never pushed there, or a forced push has removed it: deploy a commit that is there.",
        );
      }
      const off = new Set(await outside(here, branchRef));
      const on = here.filter((sha) => !off.has(sha));
      if (on.length > 0) return on;
      throw new Fault(
        "commit_not_on_branch",
        `Commit ${lost} is not on branch ${app.branch} of ${where}`,
        `Only what is on the configured branch is deployed: merge the commit into ${app.branch} first.`,
      );
    },
    async newest(shas) {
      const [first] = shas;
      if (shas.length < 2) return first;
      const order = ["rev-list", "--topo-order", "--max-count=1", "--stdin"];
      const newest = await ask(order, { input: `${shas.join("\n")}\n` });
      return (await outside(shas, newest)).length === 0 ? newest : undefined;
    },
    async contains(outer, inner) {
      if (outer === inner) return true;
      if ((await present([outer, inner])).length < 2) return false;
      return (await outside([inner], outer)).length === 0;
    },
    async changedFiles(from, to) {
      if (from === to) return [];
      if ((await present([from, to])).length < 2) return undefined;
      const args = ["diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", "--end-of-options"];
      return (await ask([...args, from, to, "--"])).split("\0").filter(Boolean);
    },
    async commit(sha) {
      const format = "--format=%H%x00%an%x00%B";
      const text = await ask(["log", "-1", format, "--end-of-options", sha]);
      const [id = sha, author = "", message = ""] = text.split("\0");
      return { sha: id, author: plainText(author, 200), message: plainText(message, 2_000) };
    },
    tree: (sha) => ask(["rev-parse", "--verify", "--end-of-options", `${sha}^{tree}`]),
    async has(sha, name) {
      const paths = await ask(["ls-tree", "-r", "--name-only", "-z", "--end-of-options", sha]);
      return paths.split("\0").some((path) => path.split("/").includes(name));
    },
    checkout: (sha, into, io) => within(io, (limited) => checkout(sha, into, limited)),
  };
}

/** What a commit refers to and does not hold. */
function warnOfGaps(dir: string, io: StepIo): void {
  if (existsSync(join(dir, ".gitmodules"))) io.log.say("Note: submodules are not fetched (.gitmodules)");
  try {
    if (/filter=lfs/.test(readReleaseFile(join(dir, ".gitattributes"))))
      io.log.say("Note: files of Git LFS need git-lfs set up for the user that dropless runs as");
  } catch {
    // There is none, or git does not read it either.
  }
}
