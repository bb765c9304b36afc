import { spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { Fault } from "../domain/fault.js";
import type { CommandOptions } from "../pipeline/ports.js";
import { demandDescriptors } from "./descriptors.js";
import { createFamily, markerName } from "./family.js";
import { createGentle, niceLevel, sliceMs } from "./gentle.js";
import { type End, endOf, keep, keeperName } from "./keeper.js";
import { holdMore, memoryLimit } from "./memory.js";
import { reap } from "./processes.js";

/** How often the processes of a command are looked for, milliseconds. */
const lookMs = 250;

// The shell's own /proc/self is the process that becomes the command. Of the session it is the first.
const politely = `echo 700 2>/dev/null >/proc/self/oom_score_adj; echo ${niceLevel} 2>/dev/null >/proc/self/autogroup; exec nice -n ${niceLevel} "$@"`;

/**
 * After two pieces smaller than this (bytes), what comes next is left to gather for a moment (milliseconds): a build that
 * writes each line by itself would else be read line by line. One alone may be a flood that has just been caught up with.
 */
const smallPiece = 16_384;
const gatherMs = 1;

interface Flow {
  chunks: number;
  /** The log has not taken what it got yet. */
  waits: boolean;
}

/** One stream to the log; the stream stands still until the log has room. */
async function pour(from: Readable, stream: "stdout" | "stderr", log: CommandOptions["log"], flow: Flow) {
  let before = 0;
  for await (const chunk of from as AsyncIterable<Buffer>) {
    flow.chunks++;
    log.write(stream, chunk);
    flow.waits = true;
    await log.drained();
    flow.waits = false;
    if (Math.max(before, chunk.length) < smallPiece) await sleep(gatherMs);
    before = chunk.length;
  }
}

/** Waits for the rest of the output; not for a process that hid from us and holds the pipe open in silence. */
async function rest(output: Promise<unknown>, streams: Readable[], flow: Flow): Promise<void> {
  let ended = false;
  void output.then(() => {
    ended = true;
  });
  for (let before = -1; !ended && (flow.waits || flow.chunks !== before); ) {
    before = flow.chunks;
    await Promise.race([output, sleep(2_000, undefined, { ref: false })]);
  }
  for (const stream of streams) stream.destroy();
  await output;
}

const shown = (command: CommandOptions["command"]): string => {
  const text = typeof command === "string" ? command : command.join(" ");
  const line = text.split("\n", 1)[0] ?? "";
  return line.length > 80 ? `${line.slice(0, 79)}…` : line;
};

function endFault(options: CommandOptions, code: number | null, signal: NodeJS.Signals | null): Fault {
  const killed = signal === "SIGKILL" || code === 137;
  const how = signal ? `was ended by ${signal}` : `ended with exit code ${code}`;
  const missing = code === 127;
  return new Fault(
    `${options.what}_failed`,
    missing ? `\`${shown(options.command)}\` was not found` : `\`${shown(options.command)}\` ${how}`,
    killed
      ? "Something killed it from outside: most likely the kernel, for lack of memory. Add memory or swap."
      : missing
        ? "Install the program for the user that dropless runs as, and see that PATH finds it."
        : "Its last lines in the log say why; the same command in a fresh clone shows the same.",
  );
}

/**
 * The only way dropless runs a user's command: in a process group of its own, with exactly `env`, its output
 * line by line into the log. Resolves when the command has succeeded and nothing of it is left; whatever it
 * left behind is ended first, also what had left the group by starting a session of its own.
 *
 * Faults: `<what>_failed` (exit code or signal), `<what>_timed_out`, `out_of_memory`, `too_many_open_files`; an abort throws the signal's reason.
 */
export async function runCommand(options: CommandOptions): Promise<void> {
  const { command, cwd, log, signal, marker } = options;
  signal.throwIfAborted();
  const argv: readonly [string, ...string[]] =
    typeof command === "string" ? ["/bin/sh", "-c", command] : command;
  const [file, ...args] = options.nice ? (["/bin/sh", "-c", politely, "sh", ...argv] as const) : argv;
  const kept = keep([file, ...args], options.nice ? { sliceMs } : {});
  demandDescriptors();
  const child = spawn(kept?.file ?? file, kept?.args ?? args, {
    cwd,
    env: { ...options.env, [markerName]: marker },
    detached: true,
    ...(kept && { argv0: keeperName }),
    stdio: ["ignore", "pipe", "pipe", kept ? "pipe" : "ignore"],
  });
  const finished = options.stopwatch?.begin();
  const [stdout, stderr] = [child.stdout as Readable, child.stderr as Readable];
  let error: Error | undefined;
  const ended = new Promise<End>((resolve) => {
    if (kept) void endOf(child).then(resolve);
    child.once("error", (thrown) => {
      error = thrown;
      resolve({ code: null, signal: null });
    });
    child.once("exit", (code, by) => resolve({ code, signal: by }));
  });
  const flow: Flow = { chunks: 0, waits: false };
  const output = Promise.allSettled([pour(stdout, "stdout", log, flow), pour(stderr, "stderr", log, flow)]);

  let stopped: "timeout" | "abort" | "memory" | undefined;
  let reaping: Promise<number> | undefined;
  const family = createFamily(marker, child.pid);
  const limit = memoryLimit(options.memory ?? false);
  const stop = (why: typeof stopped) => {
    stopped ??= why;
    // Whoever is asked politely goes on filling the memory meanwhile.
    const graceMs = why === "memory" ? 0 : options.graceMs;
    reaping ??= reap(marker, { leader: child.pid, family, graceMs });
  };
  const gentle = options.nice ? createGentle() : undefined;
  const looking = setInterval(() => {
    const seen = family.look();
    if (seen) gentle?.look(seen.pids);
    if (seen && holdMore([...seen.pids, ...seen.keepers], limit)) stop("memory");
  }, lookMs);
  const timer = setTimeout(() => stop("timeout"), options.timeoutMs);
  const onAbort = () => stop("abort");
  signal.addEventListener("abort", onAbort, { once: true });
  const result = await ended;
  finished?.();
  clearTimeout(timer);
  clearInterval(looking);
  signal.removeEventListener("abort", onAbort);
  // Children it left behind hold the pipes open: without this the output would never end.
  await (reaping ?? reap(marker, { leader: child.pid, family, graceMs: options.graceMs }));
  await rest(output, [stdout, stderr], flow);
  await log.flush();

  if (stopped === "abort") signal.throwIfAborted();
  if (stopped === "timeout") {
    throw new Fault(
      `${options.what}_timed_out`,
      `\`${shown(command)}\` was stopped because it took longer than ${Math.round(options.timeoutMs / 1000)} s`,
      `Raise the app's timeouts.${options.what === "hook" ? "migrate" : options.what} when it needs that long; the log shows where it stood.`,
    );
  }
  if (stopped === "memory") {
    throw new Fault(
      "out_of_memory",
      `\`${shown(command)}\` was stopped because it and what it started held more than ${Math.round(limit / 2 ** 20)} MB of memory`,
      "Raise the app's `limits.memory` if the machine has room for that; otherwise let the command do less at once.",
    );
  }
  if (error) {
    throw new Fault(
      `${options.what}_failed`,
      `\`${shown(command)}\` could not be started: ${error.message}`,
      "See that the program and its folder exist and may be used by the user that dropless runs as.",
    );
  }
  if (result.code !== 0) throw endFault(options, result.code, result.signal);
}
