import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { createGentle, mayReturn } from "../../src/adapters/gentle.ts";

/** Two cores whose time passes as told: of each 250 ms look, the share that others use and that is idle. */
function machine(allowed = true) {
  const times = { idle: 0, user: 0, nice: 0, sys: 0, irq: 0 };
  const processes = new Map([[7, { policy: 0, session: 7, used: 0 }]]);
  const sets: [number, number[]][] = [];
  const levels: [number, number][] = [];
  const refused = new Set<number>();
  const gentle = createGentle({
    allowed,
    cores: () => [{ times: { ...times } }],
    processOf: (pid) => processes.get(pid),
    set(policy, pids) {
      sets.push([policy, [...pids]]);
      for (const pid of pids) processes.set(pid, { session: 7, used: 0, ...processes.get(pid), policy });
    },
    setSession(level, pid) {
      if (refused.delete(pid)) return false;
      levels.push([level, pid]);
      return true;
    },
  });
  const look = (others: number, ours: number, pids = [...processes.keys()]) => {
    times.user += others * 500;
    times.nice += ours * 500;
    times.idle += (1 - others - ours) * 500;
    const [first] = processes.values();
    if (first) first.used += ours * 500;
    gentle.look(pids);
  };
  return { processes, sets, levels, refused, look };
}

test("on a machine with room a command goes to idle priority, those it starts later too", () => {
  const { processes, sets, look } = machine();
  look(0.3, 0.6);
  expect(sets).toEqual([[5, [7]]]);
  processes.set(8, { policy: 0, session: 7, used: 0 });
  look(0.1, 0.9);
  expect(sets.at(-1)).toEqual([5, [8]]);
  look(0.1, 0.9);
  expect(sets).toHaveLength(2);
});

test("on a machine that others keep busy it is left at its nice level", () => {
  const { sets, look } = machine();
  for (let n = 0; n < 30; n++) look(0.95, 0.05);
  expect(sets).toEqual([]);
});

test("when others take the machine over it comes back, for good", () => {
  const { sets, look } = machine();
  look(0.2, 0.8);
  for (let n = 0; n < 19; n++) look(1, 0);
  expect(sets).toEqual([[5, [7]]]);
  look(1, 0);
  expect(sets.at(-1)).toEqual([0, [7]]);
  for (let n = 0; n < 30; n++) look(0, 1);
  expect(sets).toHaveLength(2);
});

test.each([true, false])("its sessions go down and come back, idle priority allowed: %s", (allowed) => {
  const { processes, sets, levels, refused, look } = machine(allowed);
  look(0.95, 0.05);
  expect(levels).toEqual([]);
  look(0.2, 0.8);
  processes.set(8, { policy: 0, session: 7, used: 0 });
  processes.set(9, { policy: 0, session: 9, used: 0 });
  refused.add(9);
  look(0.2, 0.8);
  expect(levels).toEqual([[19, 7]]);
  look(0.2, 0.8);
  look(0.2, 0.8);
  expect(levels).toEqual([
    [19, 7],
    [19, 9],
  ]);
  for (let n = 0; n < 25; n++) look(1, 0);
  expect(levels.slice(2)).toEqual([
    [10, 7],
    [10, 9],
  ]);
  expect(sets.length > 0).toBe(allowed);
});

test("the daemon's own session is left alone", () => {
  const levels: number[] = [];
  let time = 0;
  const gentle = createGentle({
    allowed: false,
    cores: () => [{ times: { idle: ++time, user: 0, nice: 0, sys: 0, irq: 0 } }],
    processOf: (pid) => ({ policy: 0, session: pid === 8 ? 8 : 7, used: 0 }),
    setSession: (_level, pid) => levels.push(pid) > 0,
  });
  gentle.look([7, 8]);
  expect(levels).toEqual([8]);
});

test("who could not come back does not go", () => {
  const limits = (soft: string) =>
    `Max open files 1024 4096 files\nMax nice priority         ${soft}                  0\n`;
  expect(mayReturn(limits("0"), 1000)).toBe(false);
  expect(mayReturn(limits("10"), 1000)).toBe(true);
  expect(mayReturn(limits("0"), 0)).toBe(true);
  expect(mayReturn("", 1000)).toBe(false);
});

test("a real process goes to idle priority, and comes back where that is allowed", async () => {
  const child = spawn("sleep", ["60"], { stdio: "ignore" });
  onTestFinished(() => void child.kill("SIGKILL"));
  await once(child, "spawn");
  const pid = child.pid as number;
  const policy = () => readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.split(" ")[38];
  const until = async (wanted: string) => {
    while (policy() !== wanted) await sleep(20);
  };
  const times = { idle: 0, user: 0, nice: 0, sys: 0, irq: 0 };
  const gentle = createGentle({ allowed: true, cores: () => [{ times: { ...times } }] });
  times.idle += 500;
  gentle.look([pid]);
  await until("5");
  if (!mayReturn()) return;
  for (let n = 0; n < 21; n++) {
    times.user += 500;
    gentle.look([pid]);
  }
  await until("0");
});
