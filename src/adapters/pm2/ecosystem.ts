import { fork } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { Fault } from "../../domain/fault.js";
import type { Definition } from "../../rollout/definition.js";
import type { Target } from "../../rollout/types.js";
import { builtFile } from "../built.js";
import { cleanEnvironment } from "../environment.js";

const hint = "Read it with `node -p \"require('./ecosystem.config.js')\"` in a fresh clone to see the same.";

type Answer = { apps: Definition[] } | { error: string };

/** The definitions of a target: from its ecosystem file, or the inline block. Fault `pm2_config`. */
export async function readDefinitions(target: Target, timeoutMs = 15_000): Promise<Definition[]> {
  const { app, release, env } = target;
  if (!("config" in app.pm2)) return [{ ...app.pm2 } as Definition];
  const name = app.pm2.config as string;
  const file = join(release.path, app.directory, name);
  if (!existsSync(file)) {
    throw new Fault(
      "pm2_config",
      `the release has no ecosystem file ${name}`,
      "See pm2.config in dropless.yaml; its path is relative to the app's directory.",
    );
  }
  const child = fork(builtFile("./ecosystem-reader.js", import.meta.url), [file], {
    cwd: dirname(file),
    env: { ...cleanEnvironment(), ...env },
    execArgv: [],
    detached: true,
    stdio: ["ignore", "ignore", "ignore", "ipc"],
  });
  const answer = await new Promise<Answer>((resolve) => {
    const timer = setTimeout(
      () => resolve({ error: `it took longer than ${timeoutMs / 1000} s` }),
      timeoutMs,
    );
    child.once("message", (message: Answer) => resolve(message));
    child.once("error", (error) => resolve({ error: error.message }));
    child.once("exit", (code) => resolve({ error: `reading it ended with exit code ${code}` }));
    child.once("message", () => clearTimeout(timer));
    child.once("exit", () => clearTimeout(timer));
  });
  try {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
  if ("error" in answer) {
    throw new Fault("pm2_config", `the ecosystem file ${name} cannot be read: ${answer.error}`, hint);
  }
  return answer.apps;
}

type ReadDefinitions = (target: Target) => Promise<Definition[]>;

/**
 * Preflight, rollout and watch of one deploy ask for the same, and each time it is a process: the last answer is
 * remembered. Not where a hook in between may write what the file reads.
 */
export function remembering(read: ReadDefinitions): ReadDefinitions {
  let last: { of: string; definitions: Definition[] } | undefined;
  return async (target) => {
    const { app, release, deploy, env } = target;
    if (app.hooks.beforeRollout !== undefined || !("config" in app.pm2)) return read(target);
    const of = JSON.stringify([app.name, app.pm2, app.directory, release.path, deploy, env]);
    if (last?.of !== of) last = { of, definitions: await read(target) };
    return structuredClone(last.definitions);
  };
}
