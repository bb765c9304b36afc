import {
  appendFileSync,
  existsSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
} from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { createDeployLogs } from "../../../src/adapters/deploy-log/logs.js";
import type { DeployLogs, LogEvent, LogPlace } from "../../../src/domain/ports.js";
import { createRedactor } from "../../../src/domain/redact.js";
import { tempDir } from "../../support/temp.js";

function logsIn(dir: string, options: { limit?: number; secrets?: string[]; keep?: number } = {}) {
  const reported: unknown[] = [];
  const { secrets = [], ...rest } = options;
  const logs = createDeployLogs({
    dir,
    redact: createRedactor(secrets),
    report: (error) => void reported.push(error),
    ...rest,
  });
  return { logs, reported, file: join(dir, "d1.ndjson") };
}
const newLogs = (options?: Parameters<typeof logsIn>[1]) => logsIn(tempDir("logs"), options);

async function all(logs: DeployLogs, place: LogPlace = {}, deploy = "d1"): Promise<LogEvent[]> {
  const events: LogEvent[] = [];
  for await (const event of logs.read(deploy, place)) events.push(event);
  return events;
}
const texts = (events: LogEvent[]): string[] =>
  events.flatMap((event) => (event.event === "log" ? [event.data.text] : []));
const ids = (events: LogEvent[]): number[] => events.map(({ id }) => id);
const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);

test("lines, steps and statuses come back in order, numbered without a gap", async () => {
  const { logs } = newLogs();
  const log = logs.open("d1");
  log.status("queued");
  log.step("build", "running");
  log.write("stdout", "one\ntw");
  log.write("stderr", "warn\n");
  log.write("stdout", "o\r\nthree");
  log.say("four");
  log.step("build", "succeeded", 12);
  log.status("succeeded");
  await log.flush();
  const events = await all(logs);
  expect(ids(events)).toEqual(range(1, 9));
  expect(texts(events)).toEqual(["one", "warn", "two", "four", "three"]);
  expect(events[2]?.data).toMatchObject({ line: 1, text: "one", stream: "stdout", step: "build" });
  expect(events[7]).toMatchObject({
    event: "step",
    data: { name: "build", status: "succeeded", durationMs: 12 },
  });
  expect(events[8]).toMatchObject({ event: "status", data: { status: "succeeded" } });
  expect(await logs.tail("d1", 2)).toEqual(["four", "three"]);
  expect(logs.open("d1")).toBe(log);
  await logs.close("d1");
});

test("a follower sees what was there, what comes, and the end", async () => {
  const { logs } = newLogs();
  const log = logs.open("d1");
  log.say("before");
  const following = all(logs, { follow: true });
  await log.flush();
  log.say("during");
  await log.flush();
  log.say("last");
  void logs.close("d1");
  expect(texts(await following)).toEqual(["before", "during", "last"]);
  // Closed is closed: whoever follows now gets all of it and the end.
  expect(texts(await all(logs, { follow: true }))).toEqual(["before", "during", "last"]);
});

test("a follower leaves when its signal says so", async () => {
  const { logs } = newLogs();
  logs.open("d1").say("one");
  const leave = new AbortController();
  const seen: LogEvent[] = [];
  for await (const event of logs.read("d1", { follow: true, signal: leave.signal })) {
    seen.push(event);
    setImmediate(() => leave.abort());
  }
  expect(seen).toHaveLength(1);
  await logs.close("d1");
});

test("reading can begin behind any event and behind any line", async () => {
  const { logs } = newLogs();
  const log = logs.open("d1");
  for (let n = 1; n <= 3000; n++) {
    log.write("stdout", `line ${n} ${"x".repeat(n % 300)}\n`);
    if (n % 100 === 0) log.step("build", n % 200 === 0 ? "succeeded" : "running");
    if (n === 1500) log.write("stdout", `${"y".repeat(40_000)}\n`);
  }
  await logs.close("d1");
  const whole = await all(logs);
  for (const after of [
    0,
    1,
    2,
    100,
    101,
    102,
    1513,
    1516,
    1517,
    1518,
    2000,
    whole.length - 1,
    whole.length,
    99_999,
  ])
    expect(ids(await all(logs, { after }))).toEqual(range(after + 1, whole.length));
  const lines = texts(whole);
  for (const afterLine of [1, 99, 100, 101, 1500, 1502, 2999, lines.length - 1])
    expect(texts(await all(logs, { afterLine }))).toEqual(lines.slice(afterLine));
  expect(await logs.tail("d1", 2000)).toEqual(lines.slice(-2000));
});

test("after a restart it goes on behind the last whole event, whatever was torn", async () => {
  const dir = tempDir("logs");
  const first = logsIn(dir);
  const log = first.logs.open("d1");
  for (let n = 1; n <= 10; n++) log.say(`line ${n}`);
  await first.logs.close("d1");
  const whole = readFileSync(first.file);
  const last = whole.lastIndexOf("\n", whole.length - 2) + 1;
  // Torn in the middle, torn before its line end, and a hole such as a machine without power leaves.
  for (const tail of [
    '{"id":11,"line":1',
    whole.subarray(last, -1).toString(),
    "\0".repeat(400_000),
    "\n\n",
  ]) {
    truncateSync(first.file, last);
    appendFileSync(first.file, tail);
    const { logs } = logsIn(dir);
    const again = logs.open("d1");
    again.say("again");
    await logs.close("d1");
    const events = await all(logs);
    expect(ids(events)).toEqual(range(1, 10));
    expect(events.at(-1)?.data).toMatchObject({ line: 10, text: "again" });
  }
});

test("a log of a deploy that waited over a restart is followed from its beginning", async () => {
  const dir = tempDir("logs");
  const first = logsIn(dir);
  first.logs.open("d1").status("queued");
  await first.logs.open("d1").flush();
  await first.logs.close("d1");
  const { logs } = logsIn(dir);
  logs.open("d1");
  const following = logs.read("d1", { follow: true })[Symbol.asyncIterator]();
  expect((await following.next()).value).toMatchObject({ id: 1, event: "status" });
  logs.open("d1").status("running");
  expect((await following.next()).value).toMatchObject({ id: 2, data: { status: "running" } });
  await logs.close("d1");
  expect((await following.next()).done).toBe(true);
});

test("a deploy that was superseded as soon as it came leaves no file, one that ran always does", async () => {
  const { logs, file } = newLogs();
  logs.open("d1").status("queued");
  logs.open("d1").status("superseded");
  await logs.close("d1");
  expect(existsSync(file)).toBe(false);
  for (const status of ["queued", "running", "failed"] as const) logs.open("d1").status(status);
  await logs.close("d1");
  expect(ids(await all(logs))).toEqual([1, 2, 3]);
});

test("nothing is there for a deploy without a log, nor for what is no id", async () => {
  const { logs } = newLogs();
  expect(await all(logs, { follow: true })).toEqual([]);
  expect(await logs.tail("d1", 5)).toEqual([]);
  expect(await all(logs, {}, "../../etc/passwd")).toEqual([]);
  expect(await logs.tail("../d1", 5)).toEqual([]);
});

test("secrets are out of the file, also when they come in pieces", async () => {
  const { logs, file } = newLogs({ secrets: ["hunter22hunter22"] });
  const log = logs.open("d1");
  for (const part of ["a hunter22", "hunter2", "2 b\nhttps://me:p", "w@host/x\n"]) log.write("stdout", part);
  log.say("own hunter22hunter22");
  await logs.close("d1");
  expect(texts(await all(logs))).toEqual(["a *** b", "https://***@host/x", "own ***"]);
  expect(readFileSync(file, "utf8")).not.toContain("hunter22");
});

test("a flood is taken up to the limit; then it is counted, and its end is shown", async () => {
  const { logs, file } = newLogs({ limit: 1_000_000 });
  const log = logs.open("d1");
  log.step("build", "running");
  for (let n = 0; n < 20_000; n++) {
    log.write("stdout", `${n} ${"z".repeat(200)}\n`);
    await log.drained();
  }
  log.say("dropless itself is heard nevertheless");
  log.write("stderr", "Error: the reason\n");
  log.step("build", "failed");
  await logs.close("d1");
  const lines = texts(await all(logs));
  expect(statSync(file).size).toBeLessThan(1_500_000);
  expect(lines).toContain("dropless itself is heard nevertheless");
  expect(lines.at(-1)).toBe("Error: the reason");
  const note = lines.find((line) => line.includes("left out"));
  expect(note).toMatch(/^\[\d+ lines are left out here: a log takes 1 MB of output; the last 100 follow\]$/);
  const shown = lines.filter((line) => /^\d+ z/.test(line)).length;
  expect(shown + Number(/\d+/.exec(note ?? "")?.[0])).toBe(20_000);
});

test("at the limit it makes no difference how many lines come at once", async () => {
  const seen: string[][] = [];
  const lines = Array.from({ length: 3000 }, (_, n) => `${n} ${"z".repeat(n % 300)}\n`);
  for (const atOnce of [1, 7, 3000]) {
    const { logs } = newLogs({ limit: 300_000 });
    const log = logs.open("d1");
    log.step("build", "running");
    for (let n = 0; n < lines.length; n += atOnce) {
      log.write("stdout", lines.slice(n, n + atOnce).join(""));
      await log.drained();
    }
    await logs.close("d1");
    seen.push(texts(await all(logs)));
  }
  expect(seen[0]?.some((line) => line.includes("left out here"))).toBe(true);
  expect(seen[1]).toEqual(seen[0]);
  expect(seen[2]).toEqual(seen[0]);
});

test("whoever does not pause is not allowed to fill the memory", async () => {
  const { logs } = newLogs();
  const log = logs.open("d1");
  const chunk = `${"w".repeat(1000)}\n`.repeat(100);
  for (let n = 0; n < 300; n++) log.write("stdout", chunk);
  let waited = false;
  const drained = log.drained().then(() => {
    waited = true;
  });
  await Promise.resolve();
  expect(waited).toBe(false);
  await drained;
  log.write("stdout", "the end\n");
  await logs.close("d1");
  const lines = texts(await all(logs));
  expect(lines.length).toBeLessThan(20_000);
  expect(lines.some((line) => line.includes("left out here: the log could not be written as fast"))).toBe(
    true,
  );
  expect(lines.at(-1)).toBe("the end");
});

test("whoever pauses loses no line, however many are in what a pipe holds", async () => {
  const { logs } = newLogs();
  const log = logs.open("d1");
  log.step("build", "running");
  const chunk = Buffer.from("\n".repeat(65_536));
  log.write("stdout", `${"w".repeat(1000)}\n`.repeat(1800));
  await log.drained();
  log.write("stdout", chunk);
  log.write("stderr", chunk);
  await log.drained();
  await logs.close("d1");
  expect(texts(await all(logs))).toHaveLength(1800 + 2 * 65_536);
});

test("a log that cannot be written harms nobody, and goes on when it can be again", async () => {
  const dir = join(tempDir("logs"), "inner");
  const { logs, reported } = logsIn(dir);
  const log = logs.open("d1");
  log.say("before");
  await log.flush();
  renameSync(dir, `${dir}-away`);
  log.say("meanwhile");
  await log.flush();
  await log.drained();
  expect(reported).toHaveLength(1);
  renameSync(`${dir}-away`, dir);
  const following = logs.read("d1", { follow: true, after: 1 })[Symbol.asyncIterator]();
  expect((await following.next()).value).toMatchObject({ id: 2, data: { text: "meanwhile" } });
  await following.return?.(undefined);
  rmSync(dir, { recursive: true });
  log.say("lost");
  await logs.close("d1");
  expect(reported.length).toBeGreaterThan(1);
});

test("readers at the same place share their chunks, and each gets every event once", async () => {
  const { logs } = newLogs();
  const log = logs.open("d1");
  let encoded = 0;
  const encode = (events: LogEvent[]): Buffer => {
    encoded += events.length;
    return Buffer.from(events.map((event) => `${event.id}\n`).join(""));
  };
  async function follow(after: number): Promise<string> {
    let text = "";
    for await (const chunk of logs.encoded("d1", { after, follow: true }, encode)) text += chunk.toString();
    return text;
  }
  const followers = Array.from({ length: 40 }, (_, n) => follow(n < 20 ? 0 : 7));
  for (let n = 1; n <= 20_000; n++) {
    log.write("stdout", `a line of some length, the ${n}th of them\n`);
    await log.drained();
  }
  await logs.close("d1");
  const expected = (from: number) =>
    range(from, 20_000)
      .map((n) => `${n}\n`)
      .join("");
  const got = await Promise.all(followers);
  for (const [n, text] of got.entries()) expect(text).toBe(expected(n < 20 ? 1 : 8));
  // Not shared at all it would be 800,000.
  expect(encoded).toBeLessThan(200_000);
});

test("the oldest logs beyond `keep` go, those of living deploys stay", async () => {
  const { logs } = newLogs({ keep: 2 });
  logs.open("a0").say("waits");
  for (const id of ["a1", "a2", "a3"]) {
    logs.open(id).say(id);
    await logs.open(id).flush();
  }
  onTestFinished(() => logs.close("a0"));
  await logs.open("a0").flush();
  await logs.close("a3");
  expect(await logs.tail("a0", 1)).toEqual(["waits"]);
  expect(await logs.tail("a3", 1)).toEqual(["a3"]);
  await Promise.all([logs.close("a1"), logs.close("a2")]);
});
