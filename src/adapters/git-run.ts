import { existsSync, mkdirSync } from "node:fs";
import { simpleGit } from "simple-git";
import type { Stopwatch } from "../domain/stopwatch.js";
import { demandDescriptors } from "./descriptors.js";
import { markerName } from "./family.js";
import { credentialsFile } from "./git-origin.js";
import { reap } from "./processes.js";

export interface GitCall {
  cwd?: string;
  /** Files of the release are written here, by way of an index of their own. */
  workTree?: string;
  input?: string;
  signal?: AbortSignal;
  /** Milliseconds without a sign of life. */
  stallMs?: number;
}

export type GitRun = (args: string[], call?: GitCall) => Promise<string>;

/** What of the daemon's environment git may know; the rest, GIT_* above all, stays out. */
const passed =
  /^(?:PATH|HOME|USER|LOGNAME|TMPDIR|SSH_AUTH_SOCK|XDG_CONFIG_HOME|SSL_CERT_(?:FILE|DIR)|(?:https?|no|all)_proxy)$/i;

/** Of what git and the server say beside the answer, bytes; a progress bar of hours is less. */
const mostSaid = 16 << 20;

const config = [
  // Neither a template folder nor anything else may put a hook between us and the repository.
  "core.hooksPath=/dev/null",
  "protocol.ext.allow=never",
  "core.fsmonitor=false",
  "log.showSignature=false",
  // A collection in the background would outlive the deploy.
  "gc.autoDetach=false",
  "maintenance.autoDetach=false",
];

/**
 * Runs git on one bare repository, by simple-git and with an environment made by hand: no inherited GIT_*, no
 * prompt, no hook. Rejects with git's own words; nothing of the call is left running then.
 */
export function createGitRun(gitDir: string, env: NodeJS.ProcessEnv, stopwatch?: Stopwatch): GitRun {
  const marker = `git:${gitDir}`;
  const base: Record<string, string> = { LC_ALL: "C.UTF-8", [markerName]: marker };
  for (const [name, value] of Object.entries(env))
    if (value !== undefined && passed.test(name)) base[name] = value;

  /** Before all others, as a password in the address itself would be. */
  const helper = `store --file='${credentialsFile(gitDir).replaceAll("'", "'\\''")}'`;
  const credentials = () =>
    existsSync(credentialsFile(gitDir)) ? ["credential.helper=", `credential.helper=${helper}`] : [];

  const start = async (args: string[], call: GitCall, ssh: string | undefined) => {
    const environment: Record<string, string> = { ...base, GIT_DIR: gitDir, GIT_TERMINAL_PROMPT: "0" };
    if (ssh) environment.GIT_SSH_COMMAND = ssh;
    if (call.workTree) {
      environment.GIT_WORK_TREE = call.workTree;
      environment.GIT_INDEX_FILE = `${gitDir}/release.index`;
    }
    demandDescriptors();
    const flood = new AbortController();
    const git = simpleGit({
      baseDir: call.cwd ?? gitDir,
      config: [...config, ...credentials()],
      abort: call.signal ? AbortSignal.any([call.signal, flood.signal]) : flood.signal,
      ...(call.stallMs ? { timeout: { block: call.stallMs } } : {}),
      ...(call.input === undefined ? {} : { input: () => call.input }),
      allowEnvironment: [
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_TERMINAL_PROMPT",
        "GIT_SSH_COMMAND",
      ],
      // Ours, each of them, and fixed: nothing from outside gets into these.
      unsafe: {
        allowUnsafeHooksPath: true,
        allowUnsafeProtocolOverride: true,
        allowUnsafeFsMonitor: true,
        allowUnsafeSshCommand: true,
        allowUnsafeCredentialHelper: true,
      },
      errors: (error, result) => {
        if (error || result.exitCode === 0) return error;
        return Buffer.concat([...result.stdErr, ...result.stdOut]);
      },
    });
    let said = 0;
    git.outputHandler((_command, stdout, stderr) => {
      // When a command has said nothing, simple-git waits 50 ms more for what may come; its output has ended, though.
      stdout.once("end", () => stdout.emit("data", Buffer.alloc(0)));
      stderr.on("data", (chunk: Buffer) => {
        said += chunk.length;
        if (said > mostSaid) flood.abort();
      });
    });
    const ended = stopwatch?.begin();
    return git
      .env(environment)
      .raw(args)
      .catch((error: unknown) => {
        throw flood.signal.aborted ? new Error("the server said more than 16 MB and no end") : error;
      })
      .finally(ended);
  };

  return async (args, call = {}) => {
    mkdirSync(gitDir, { recursive: true, mode: 0o700 });
    let ssh: string | undefined;
    if (args[0] === "fetch" || args[0] === "ls-remote") {
      // A command of the user's own (a deploy key, mostly) stays; ours only makes ssh fail instead of asking.
      const own = await start(["config", "--get", "core.sshCommand"], {}, undefined).catch(() => "");
      if (own.trim() === "") ssh = "ssh -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=15";
    }
    try {
      return await start(args, call, ssh);
    } catch (error) {
      await reap(marker, { graceMs: 1_000 });
      throw error;
    }
  };
}
