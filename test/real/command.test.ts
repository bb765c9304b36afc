import { randomUUID } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { runCommand } from "../../src/adapters/command.js";
import { markerName, reap } from "../../src/adapters/processes.js";
import type { CommandOptions } from "../../src/pipeline/ports.js";
import { memoryLog } from "../support/log.js";
import { tempDir } from "../support/temp.js";

const run = (command: CommandOptions["command"], options: Partial<CommandOptions> = {}) =>
  runCommand({
    command,
    what: "build",
    cwd: "/",
    env: { PATH: process.env.PATH ?? "" },
    log: memoryLog(),
    timeoutMs: 120_000,
    signal: new AbortController().signal,
    marker: randomUUID(),
    graceMs: 300,
    ...options,
  });

const node = (script: string) => [process.execPath, "-e", script] as const;

const lives = (pid: number): boolean => {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return false;
  }
};

const fileOf = async (path: string): Promise<string> => {
  while (!existsSync(path) || readFileSync(path, "utf8").trim() === "") await sleep(20);
  return readFileSync(path, "utf8").trim();
};

test("a command gets exactly its environment, and its output arrives in the log", async () => {
  const log = memoryLog();
  await run("env; echo to-stderr >&2", { env: { PATH: "/usr/bin:/bin", COLOUR: "blue" }, log, nice: true });
  expect(log.text()).toContain("COLOUR=blue\n");
  expect(log.text()).toContain("to-stderr\n");
  const names = log.text().match(/^\w+(?==)/gm) ?? [];
  expect(names.filter((name) => !["PWD", "SHLVL", "_", "OLDPWD"].includes(name)).sort()).toEqual(
    ["COLOUR", markerName, "PATH"].sort(),
  );
});

test("a failing command names its exit code, a killed one its signal", async () => {
  await expect(run("exit 3")).rejects.toMatchObject({
    code: "build_failed",
    message: "`exit 3` ended with exit code 3",
  });
  await expect(run("kill -SEGV $$")).rejects.toThrow("was ended by SIGSEGV");
  await expect(run("kill -KILL $$")).rejects.toMatchObject({ hint: expect.stringContaining("memory") });
  await expect(run("no-such-program-here")).rejects.toThrow("was not found");
  await expect(run(["/no/such/program"])).rejects.toMatchObject({ code: "build_failed" });
  await expect(run("true", { cwd: "/no/such/folder" })).rejects.toThrow("could not be started");
});

test("at its time limit all of a command ends: children that ignore TERM, and those in a session of their own", async () => {
  const dir = tempDir();
  const children = [
    `setsid sh -c 'trap "" TERM; echo $$ > ${dir}/own; while :; do sleep 1; done' &`,
    `sh -c 'trap "" TERM; echo $$ > ${dir}/deaf; while :; do sleep 1; done' &`,
    "wait",
  ].join("\n");
  const controller = new AbortController();
  const ended = run(children, { signal: controller.signal });
  const pids = [Number(await fileOf(join(dir, "own"))), Number(await fileOf(join(dir, "deaf")))];
  expect(pids.every(lives)).toBe(true);
  controller.abort(new Error("canceled"));
  await expect(ended).rejects.toThrow("canceled");
  expect(pids.filter(lives)).toEqual([]);

  await expect(run("sleep 300", { timeoutMs: 200 })).rejects.toMatchObject({ code: "build_timed_out" });
});

test("what a successful command leaves running in the background is ended", async () => {
  const dir = tempDir();
  await run(`setsid sleep 300 & echo $! > ${dir}/group; (setsid sh -c 'echo $$ > ${dir}/own; sleep 300' &)
    while [ ! -s ${dir}/own ]; do sleep 0.05; done`);
  expect(lives(Number(await fileOf(join(dir, "own"))))).toBe(false);
  expect(lives(Number(await fileOf(join(dir, "group"))))).toBe(false);
});

test("a process that hides from us and holds the output open does not hold the deploy", async () => {
  const dir = tempDir();
  await run(`env -i setsid sh -c 'echo $$ > ${dir}/hidden; exec sleep 60' &
    while [ ! -s ${dir}/hidden ]; do sleep 0.05; done`);
  const pid = Number(await fileOf(join(dir, "hidden")));
  expect(lives(pid)).toBe(true);
  process.kill(pid, "SIGKILL");
});

test("what PM2 started for a hook lives on", async () => {
  const dir = tempDir();
  const marker = randomUUID();
  await run(
    `pm_id=3 setsid sh -c 'echo $$ > ${dir}/app; exec sleep 60' >/dev/null 2>&1 &
    while [ ! -s ${dir}/app ]; do sleep 0.05; done`,
    { marker },
  );
  const pid = Number(await fileOf(join(dir, "app")));
  expect(lives(pid)).toBe(true);
  process.kill(pid, "SIGKILL");
});

test("what a killed daemon left of a deploy's commands is found and ended by its marker", async () => {
  const dir = tempDir();
  const marker = randomUUID();
  const command = run(`echo $$ > ${dir}/pid; sleep 300`, { marker }).catch((fault) => fault);
  const pid = Number(await fileOf(join(dir, "pid")));
  expect(await reap(marker, { graceMs: 300 })).toBeGreaterThan(0);
  expect(lives(pid)).toBe(false);
  expect(await command).toMatchObject({ code: "build_failed" });
  expect(await reap(marker)).toBe(0);
});

test("a slow log slows the command, and memory stays bounded under a flood, one endless line and binary", async () => {
  let bytes = 0;
  let held = 0;
  let most = 0;
  const log = {
    write: (_: string, part: string | Uint8Array) => {
      bytes += part.length;
      held += part.length;
      most = Math.max(most, held);
    },
    drained: async () => {
      if (held < 1 << 20) return;
      await sleep(1);
      held = 0;
    },
    flush: async () => {},
  };
  const megabytes = 300;
  await run(
    node(`const b = Buffer.alloc(1 << 20, "x".repeat(99) + "\\n");
    let n = 0; const go = () => { while (n++ < ${megabytes}) if (!process.stdout.write(b)) return process.stdout.once("drain", go); }; go();`),
    {
      log,
    },
  );
  expect(bytes).toBe(megabytes << 20);
  expect(most).toBeLessThan(8 << 20);

  bytes = 0;
  await run(node(`process.stdout.write("y".repeat(100 << 20))`), { log });
  expect(bytes).toBe(100 << 20);
  expect(most).toBeLessThan(8 << 20);

  bytes = 0;
  await run("head -c 3000000 /dev/urandom", { log });
  expect(bytes).toBeGreaterThan(1_000_000);
});

test("a character cut by a chunk's border arrives whole", async () => {
  const dir = tempDir();
  writeFileSync(join(dir, "cut.sh"), "printf '\\303'; sleep 0.2; printf '\\244\\n'");
  const log = memoryLog();
  await run("sh cut.sh", { cwd: dir, log });
  expect(log.text()).toBe("ä\n");
});
