import { Fault } from "../domain/fault.js";
import { type Context, releaseOf } from "./context.js";
import type { Argv } from "./packages.js";
import { withTools } from "./tools.js";

interface Work {
  what: "install" | "build" | "migrate" | "hook";
  cwd: string;
  env: Record<string, string>;
  timeoutMs: number;
  nice?: boolean;
}

/** What package managers say when the lockfile does not fit package.json. */
const drift =
  /can only install packages when your package\.json and .* are in sync|ERR_PNPM_OUTDATED_LOCKFILE|ERR_PNPM_LOCKFILE_CONFIG_MISMATCH|lockfile needs to be updated|YN0028|lockfile had changes, but lockfile is frozen/;
const full = /ENOSPC|No space left on device|EDQUOT|Disk quota exceeded/i;
/** The line that names the error: of Node, of tsc, of esbuild and its kind. Not npm's own words about it. */
const cause =
  /^(?!npm )(?:.*?(?:\b[A-Z]\w*Error: |\berror TS\d+: |^error(?: during build)?: |✘ \[ERROR\] )\S.*)$/m;
const ansi = /\u001b\[[0-9;]*m/g;
/** Enough to hold an error's lines, whatever comes after them. Characters. */
const tailLength = 16_384;

/**
 * The last of what is added, and somewhat more than a tail, so that what is cut off can be redacted first. It is put together only
 * when it is asked for: most commands succeed, and some print much.
 */
function createTail() {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  return {
    add(part: string | Uint8Array): void {
      const added = typeof part === "string" ? Buffer.from(part) : part;
      parts.push(added);
      bytes += added.length;
      // A character has four bytes at most.
      while (bytes - (parts[0]?.length ?? 0) >= 4 * tailLength) bytes -= parts.shift()?.length ?? 0;
    },
    text: (): string => Buffer.concat(parts).toString(),
  };
}

/**
 * Runs one command of a deploy; what it printed says more than its exit code, so a fault knows drifted
 * lockfiles and full disks.
 */
export async function command(context: Context, line: string | Argv, work: Work): Promise<void> {
  const { log, signal, stopwatch, recorder, run, releases } = context;
  const printed = createTail();
  const listening = {
    write: (stream: "stdout" | "stderr", part: string | Uint8Array) => {
      printed.add(part);
      log.write(stream, part);
    },
    drained: () => log.drained(),
    flush: () => log.flush(),
  };
  log.say(`$ ${typeof line === "string" ? line : line.join(" ")}`);
  try {
    const env = withTools(work.env, releaseOf(context));
    const { memory } = context.app.limits;
    const marker = recorder.deploy.id;
    await run({ command: line, ...work, env, memory, log: listening, signal, stopwatch, marker });
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    const last = printed.text();
    const tail = last.slice(-tailLength);
    if (work.what === "install" && drift.test(tail)) {
      throw new Fault(
        "install_failed",
        "The lockfile does not fit package.json",
        "Run the install on your machine, commit the lockfile it writes, and push.",
      );
    }
    if (full.test(tail)) {
      throw new Fault(
        "disk_full",
        `The disk was full during the ${work.what}`,
        "Make room on the disk that holds the app's root (and the temporary folder), then deploy again.",
      );
    }
    releases.demandRoom();
    // Redacted before it is cut: half a secret is not recognised.
    const why = cause.exec(context.redact(last.replace(ansi, "")).slice(-tailLength))?.[0].trim();
    if (!why || !error.code.endsWith("_failed")) throw error;
    throw new Fault(error.code, `${error.message}: ${why.slice(0, 300)}`, error.hint);
  }
}

/** A hook of the user's: at the repository's root, with what the app itself gets to see. */
export const hook = (context: Context, line: string): Promise<void> =>
  command(context, line, {
    what: "hook",
    cwd: releaseOf(context).path,
    env: { ...context.base, ...context.env },
    timeoutMs: context.app.timeouts.migrate,
  });
