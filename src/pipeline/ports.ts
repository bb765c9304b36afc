import type { AppConfig } from "../config/schema.js";
import type { Commit } from "../domain/deploy.js";
import type { LogWriter } from "../domain/ports.js";
import type { Release } from "../domain/release.js";
import type { Stopwatch } from "../domain/stopwatch.js";
import type { StepIo } from "../rollout/types.js";

/** An app's bare mirror of its origin, at `<root>/repo`. Every method may throw `git_failed`. */
export interface Git {
  /**
   * Makes the mirror what the origin is now. Faults: `git_auth` at once; `git_unreachable` after bounded
   * retries; `branch_not_found`; `disk_full`.
   */
  fetch(io: StepIo): Promise<void>;
  /** The configured branch's head. */
  head(): Promise<string>;
  /**
   * The sha a name stands for: nothing for the branch, a full ref, a branch, a tag, a sha or its first digits.
   * Fault `commit_not_found`.
   */
  resolve(ref: string): Promise<string>;
  /**
   * Which of these commits can be reached from the branch. Faults when none can: `commit_not_found`,
   * `commit_not_on_branch` (about the first one).
   */
  onBranch(shas: string[]): Promise<string[]>;
  /** The one that contains all the others; undefined when there is none. */
  newest(shas: string[]): Promise<string | undefined>;
  /** Is `inner` the same commit, or an ancestor? False when one of the two is no longer there. */
  contains(outer: string, inner: string): Promise<boolean>;
  /** Paths that differ between two commits; undefined when one of the two is no longer there. */
  changedFiles(from: string, to: string): Promise<string[] | undefined>;
  commit(sha: string): Promise<Commit>;
  /** The id of the commit's files: the same for two commits with the same content. */
  tree(sha: string): Promise<string>;
  /** Has this commit anything of this name, wherever it lies? */
  has(sha: string, name: string): Promise<boolean>;
  /** The commit's files, and nothing of git, into an empty folder. */
  checkout(sha: string, into: string, io: StepIo): Promise<void>;
}

/** The directories below an app's `root`. */
export interface Releases {
  /**
   * A new, empty release for a commit. `announce` is told its name before it is there: after a crash in between
   * nothing is left that nobody knows. Faults: `disk_full`, `root_not_writable`.
   */
  create(sha: string, announce?: (name: string) => void): Release;
  /** Undefined when there is no such directory, or the name is none of a release. */
  find(name: string): Release | undefined;
  /** Names of those that are built to the end, oldest first. */
  whole(): string[];
  /** What its marker says; undefined for a half-built one. `content` is given until the machine is restarted. */
  built(name: string): { sha: string; content?: string } | undefined;
  /** Everything that was to be built is: durable when it returns. `content`: what it was built of. */
  markBuilt(release: Release, sha: string, content?: string): void;
  /** Links `shared` and puts the drain's preload in. Fault `shared_outside`, `preload_missing`. */
  furnish(release: Release, log: LogWriter): void;
  /** Removes a release that will not be needed. */
  discard(name: string): Promise<void>;
  /** Switches `current`, atomically and durably; removes it when nothing is live any more. */
  activate(release: Release | undefined): void;
  /** The release that `current` points to. */
  current(): string | undefined;
  /**
   * Throws away half-built ones and all but the newest `keep` and those to be spared, and gives their names: they are no
   * releases any more, and `sweep` removes them.
   */
  prune(keep: number, spare: ReadonlySet<string>): Promise<string[]>;
  /**
   * Removes what was thrown away; to be called after a deploy, at the start, and in a deploy's last step, and never beside
   * a deploy. Fault `not_removed`, when all that could be is removed.
   */
  sweep(): Promise<void>;
  /** Fault `disk_full` when there is no longer room for anything. */
  demandRoom(): void;
}

/** For what starts processes of its own: they are found by the deploy's marker, as its commands are. */
export interface WorkIo extends StepIo {
  marker: string;
}

/** By the folders of packages with scripts for their installation. */
export type Fits = (scripted: readonly string[]) => boolean;

/** See adapters/programs.ts. */
export type Identify = (
  program: string,
  cwd: string,
  env: Record<string, string>,
) => Promise<string | undefined>;

/**
 * Installed packages, kept below an app's `root` for the next deploy that asks for the very same. No release ever
 * shares a file with another one, nor with what is kept. A fault in here costs time, never a deploy: what is
 * kept is then left alone, and the packages are installed as usual.
 */
export interface Modules {
  /**
   * Puts the packages kept under `key` into a release, and gives the folders of those that have scripts for their
   * installation. `none`: there are none, or they were changed since, and nothing was put there. `unfit`: they
   * are known, and `fits` does not want packages with such scripts.
   */
  take(
    key: string,
    release: Release,
    fits: Fits,
    io: WorkIo,
  ): Promise<{ scripted: string[] } | "none" | "unfit">;
  /** Keeps what was just installed into a release. */
  keep(key: string, release: Release, fits: Fits, io: WorkIo): Promise<void>;
  /** Takes out what only the build needed, as it was learned; false when that is not known. */
  slim(release: Release, io: WorkIo): Promise<boolean>;
  /** Learns what `prune` takes out. */
  learn(release: Release, io: WorkIo, prune: () => Promise<void>): Promise<void>;
  /** Before a release is removed: what was lent to it is kept again. */
  giveBack(release: Release): Promise<void>;
  /** Throws away all but the few newest; all of them with `none`. `sweep` removes them. */
  tidy(options: { none: boolean }): Promise<void>;
  /** As that of the releases. */
  sweep(): Promise<void>;
}

/** Releases that are there, by what they were built of. */
export interface Builds {
  /**
   * Makes a release the copy of the first of `names` that was built of `content` and in which nothing was
   * written since. Gives its name; undefined when there is none, and the release may then be half overwritten
   * with files of the same content.
   */
  take(content: string, release: Release, names: string[], io: WorkIo): Promise<string | undefined>;
}

/**
 * The folders that an app names as `cache`: copied from release to release, never shared. What a build has left in
 * them counts only once its deploy has succeeded.
 */
export interface BuildCache {
  /** Puts what the last good build has left into a release, where it has nothing of that name. */
  bring(release: Release, io: WorkIo): Promise<void>;
  /** Right after the build, before the app can write into them. */
  save(release: Release, deploy: string, io: WorkIo): Promise<void>;
  /** The deploy went well. */
  settle(deploy: string): Promise<void>;
}

/** See adapters/command.ts. */
export interface CommandOptions {
  /** A line for `/bin/sh -c`, or a program with its arguments. */
  command: string | readonly [string, ...string[]];
  /** What it is in a sentence and in a fault's code: `install` gives `install_failed`, `install_timed_out`. */
  what: string;
  cwd: string;
  /** The whole environment; nothing of the daemon's is added. */
  env: Record<string, string>;
  log: Pick<LogWriter, "write" | "drained" | "flush">;
  /** Milliseconds. */
  timeoutMs: number;
  /** What it and everything it starts may hold together. */
  memory?: AppConfig["limits"]["memory"];
  signal: AbortSignal;
  /** Runs while the command does. */
  stopwatch?: Stopwatch;
  /** The same for every command of a deploy: by it the processes are found, also after a crash of the daemon. */
  marker: string;
  /** Let what serves go first: lower priority, and the first to go when memory runs out. */
  nice?: boolean;
  /** Milliseconds between TERM and KILL. */
  graceMs?: number;
}
export type RunCommand = (options: CommandOptions) => Promise<void>;
