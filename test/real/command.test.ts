import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { runCommand } from "../../src/adapters/command.js";
import { createFamily, markerName } from "../../src/adapters/family.js";
import { sliceMs } from "../../src/adapters/gentle.js";
import { keep, keeperName } from "../../src/adapters/keeper.js";
import { reap } from "../../src/adapters/processes.js";
import type { CommandOptions } from "../../src/pipeline/ports.js";
import { memoryLog } from "../support/log.js";
import { tempDir } from "../support/temp.js";
import { canTest } from "../support/tools.js";

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

/** Leaves its session, cleans its environment and loses its parent; `f` gets its pid. */
const hide = (f: string, then: string): string => `
  (env -i PATH="$PATH" setsid sh -c 'trap "" TERM; echo $$ > ${f}; exec ${then}' &)
  while [ ! -s ${f} ]; do sleep 0.02; done`;

describe.runIf(canTest("perl"))("what hides from us", () => {
  test("is ended when its command has succeeded, also where it would hold the output open", async () => {
    const dir = tempDir();
    await run(hide(`${dir}/hidden`, "sleep 60"));
    expect(lives(Number(await fileOf(join(dir, "hidden"))))).toBe(false);
    await run(hide(`${dir}/silent`, "sleep 60 >/dev/null 2>&1"), { nice: true });
    expect(lives(Number(await fileOf(join(dir, "silent"))))).toBe(false);
  });

  test("is ended when its command is canceled, and when that reaches its time limit", async () => {
    const dir = tempDir();
    const controller = new AbortController();
    const canceled = run(`${hide(`${dir}/canceled`, "sleep 60")}; sleep 60`, { signal: controller.signal });
    const pid = Number(await fileOf(join(dir, "canceled")));
    controller.abort(new Error("canceled"));
    await expect(canceled).rejects.toThrow("canceled");
    expect(lives(pid)).toBe(false);
    const timed = run(`${hide(`${dir}/timed`, "sleep 60")}; sleep 60`, { timeoutMs: 5_000 });
    await expect(timed).rejects.toMatchObject({ code: "build_timed_out" });
    expect(lives(Number(await fileOf(join(dir, "timed"))))).toBe(false);
  });

  test("is ended by the next daemon when its own was killed", async () => {
    const dir = tempDir();
    const marker = randomUUID();
    const kept = keep(["/bin/sh", "-c", `${hide(`${dir}/hidden`, "sleep 60")}; sleep 60`]);
    const keeper = spawn(kept?.file ?? "", kept?.args ?? [], {
      argv0: keeperName,
      env: { PATH: process.env.PATH ?? "", [markerName]: marker },
      detached: true,
      stdio: ["ignore", "ignore", "ignore", "pipe"],
    });
    const pid = Number(await fileOf(join(dir, "hidden")));
    keeper.stdio[3]?.destroy();
    expect(await reap(marker, { graceMs: 300 })).toBeGreaterThan(1);
    expect([pid, keeper.pid as number].filter(lives)).toEqual([]);
  });
});

const [major = 0, minor = 0] = release().split(".").map(Number);
const honoursSlices = (major > 6 || (major === 6 && minor >= 12)) && existsSync("/proc/self/sched");

test.runIf(honoursSlices && canTest("perl"))(
  "a nice command has a long time slice, and what it starts",
  async () => {
    const show = "grep se.slice /proc/self/sched";
    const slices = async (nice: boolean) => {
      const log = memoryLog();
      await run(`${show}; setsid sh -c 'nice ${show}'`, { nice, log });
      return log
        .text()
        .match(/\d+$/gm)
        ?.map((slice) => Number(slice) / 1e6);
    };
    expect(await slices(true)).toEqual([sliceMs, sliceMs]);
    for (const slice of (await slices(false)) ?? []) expect(slice).toBeLessThan(sliceMs);
  },
);

test("without a keeper: what was seen once stays known", async () => {
  const dir = tempDir();
  const parent = spawn(
    "/bin/sh",
    ["-c", `env -i setsid sh -c 'echo $$ > ${dir}/hidden; exec sleep 60' & exec sleep 60`],
    { detached: true, stdio: "ignore" },
  );
  const pid = Number(await fileOf(join(dir, "hidden")));
  const marker = randomUUID();
  const family = createFamily(marker, parent.pid);
  expect(family.look()?.pids).toContain(pid);
  const gone = once(parent, "exit");
  parent.kill("SIGKILL");
  await gone;
  expect(family.look()?.pids).toEqual([pid]);
  await reap(marker, { family, graceMs: 0 });
  expect(lives(pid)).toBe(false);
});

const megabyte = 2 ** 20;
test("a command that fills the memory is stopped at its limit", async () => {
  const filling = run(
    `${process.execPath} -e 'const held = []; for (;;) held.push(Buffer.alloc(1 << 20, 1))'`,
    {
      memory: 200 * megabyte,
    },
  );
  await expect(filling).rejects.toMatchObject({
    code: "out_of_memory",
    message: expect.stringContaining("held more than 200 MB of memory"),
    hint: expect.stringContaining("limits.memory"),
  });
  await run(`${process.execPath} -e 'Buffer.alloc(50 << 20, 1)'`, { memory: 200 * megabyte });
});

test("one whose memory is spread over many processes too, and nothing of it is left", async () => {
  const dir = tempDir();
  writeFileSync(
    join(dir, "hold.mjs"),
    `import { existsSync, renameSync, writeFileSync } from "node:fs";
    const name = process.argv[2];
    writeFileSync(name + ".new", String(process.pid));
    renameSync(name + ".new", name);
    // The memory comes when all are known: who is ended before it has told its id could not be looked for.
    while (!["1", "2", "3", "4"].every(existsSync)) await new Promise((go) => setTimeout(go, 20));
    const held = Buffer.alloc(60 << 20, 1);
    setInterval(() => held, 1e6);`,
  );
  const filling = run(`for n in 1 2 3 4; do setsid "${process.execPath}" hold.mjs $n & done; wait`, {
    cwd: dir,
    memory: 250 * megabyte,
  });
  await expect(filling).rejects.toMatchObject({ code: "out_of_memory" });
  for (const n of ["1", "2", "3", "4"]) expect(lives(Number(readFileSync(join(dir, n), "utf8")))).toBe(false);
});

test.runIf(canTest("perl"))("memory that forks share counts once", async () => {
  await run(
    [
      "perl",
      "-e",
      'my $held = "x" x (100 << 20); for (1 .. 4) { fork or last } select(undef, undef, undef, 1)',
    ],
    { memory: 300 * megabyte },
  );
});

test("a build is the first that the kernel ends when memory runs out", async () => {
  const log = memoryLog();
  await run("cat /proc/self/oom_score_adj; sh -c 'cat /proc/self/oom_score_adj'", { log, nice: true });
  expect(log.text()).toBe("700\n700\n");
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
