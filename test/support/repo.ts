import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** A file's text; null removes it; `link` makes a symlink, `mode` an executable. */
type FileContent = string | Buffer | null | { link: string } | { text: string; mode: number };
export type Files = Record<string, FileContent>;

export interface Repo {
  /** The bare origin: what a configuration's `repository` names. Its last two segments are `acme/<name>`. */
  url: string;
  /** `acme/<name>`, as a payload's `repository.full_name`. */
  fullName: string;
  /** The working copy. */
  work: string;
  /** Commits on the branch that is checked out and pushes it, unless `push` is false. Gives the sha. */
  commit(files: Files, message?: string, options?: { push?: boolean }): string;
  /** Pushes the branch that is checked out (by force, so that a reset arrives). */
  push(): void;
  /** Checks out a branch, making it at `from` (default: here) when it does not exist. */
  branch(name: string, from?: string): void;
  /** Moves the branch that is checked out to `sha`, and pushes that. */
  reset(sha: string): void;
  merge(branch: string): string;
  tag(name: string, sha?: string): void;
  head(): string;
  /** Any git command in the working copy; gives its trimmed output. */
  git(...args: string[]): string;
}

/** The environment in which git knows nothing of the machine it runs on. */
const gitEnv = (home: string): NodeJS.ProcessEnv => ({
  PATH: process.env.PATH,
  HOME: home,
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_TERMINAL_PROMPT: "0",
  GIT_AUTHOR_NAME: "Ada Example",
  GIT_AUTHOR_EMAIL: "ada@example.com",
  GIT_COMMITTER_NAME: "Ada Example",
  GIT_COMMITTER_EMAIL: "ada@example.com",
});

/** A real origin (bare) with a working copy below `dir`, on branch `main`, still without a commit. */
export function createRepo(dir: string, name = "app"): Repo {
  const url = join(dir, "origin", "acme", `${name}.git`);
  const work = join(dir, "work", name);
  const home = join(dir, "git-home");
  for (const path of [url, work, home]) mkdirSync(path, { recursive: true });
  const run = (cwd: string, args: string[]) =>
    execFileSync("git", args, { cwd, env: gitEnv(home), encoding: "utf8", stdio: "pipe" }).trim();
  const git = (...args: string[]) => run(work, args);
  run(url, ["init", "-q", "--bare", "-b", "main"]);
  git("init", "-q", "-b", "main");
  git("remote", "add", "origin", url);

  const write = (path: string, content: FileContent) => {
    const full = join(work, path);
    rmSync(full, { recursive: true, force: true });
    if (content === null) return;
    mkdirSync(dirname(full), { recursive: true });
    if (typeof content === "string" || Buffer.isBuffer(content)) return writeFileSync(full, content);
    if ("link" in content) return symlinkSync(content.link, full);
    writeFileSync(full, content.text);
    chmodSync(full, content.mode);
  };
  const head = () => git("rev-parse", "HEAD");
  const push = () => void git("push", "-q", "--force", "origin", "HEAD");

  return {
    url,
    fullName: `acme/${name}`,
    work,
    git,
    head,
    push,
    commit(files, message = "a change", options = {}) {
      for (const [path, content] of Object.entries(files)) write(path, content);
      git("add", "-A");
      git("commit", "-q", "--allow-empty", "-m", message);
      if (options.push !== false) push();
      return head();
    },
    branch(branch, from) {
      const exists = git("branch", "--list", branch) !== "";
      git("checkout", "-q", ...(exists ? [branch] : ["-b", branch, ...(from ? [from] : [])]));
    },
    reset(sha) {
      git("reset", "-q", "--hard", sha);
      push();
    },
    merge(branch) {
      git("merge", "-q", "--no-ff", "--no-edit", branch);
      push();
      return head();
    },
    tag(tag, sha) {
      git("tag", tag, ...(sha ? [sha] : []));
      git("push", "-q", "origin", `refs/tags/${tag}`);
    },
  };
}
