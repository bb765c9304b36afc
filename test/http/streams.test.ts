import { createParser } from "eventsource-parser";
import { expect, it, vi } from "vitest";
import type { DeployEvent } from "../../src/http/wire.js";
import { push, shaOf } from "../support/payloads.js";
import { bench, operators } from "./bench.js";

interface Seen {
  id?: string;
  event?: string;
  data: string;
}

/** Reads an event stream with somebody else's parser until `enough`, then leaves. */
async function watch(url: string, headers: Record<string, string>, enough: (seen: Seen[]) => boolean) {
  const leave = new AbortController();
  const response = await fetch(url, {
    headers: { authorization: `Bearer ${operators.reader}`, ...headers },
    signal: leave.signal,
  });
  const seen: Seen[] = [];
  const comments: string[] = [];
  const parser = createParser({
    onEvent: (event) => void seen.push(event),
    onComment: (text) => void comments.push(text),
  });
  const decoder = new TextDecoder();
  let ended = true;
  if (response.body)
    for await (const chunk of response.body) {
      parser.feed(decoder.decode(chunk, { stream: true }));
      if (!enough(seen)) continue;
      ended = false;
      break;
    }
  leave.abort();
  return { status: response.status, headers: response.headers, seen, comments, ended };
}
const never = () => false;
const texts = (seen: Seen[]) =>
  seen.filter(({ event }) => event === "log").map(({ data }) => JSON.parse(data).text as string);

async function running(options: Parameters<typeof bench>[0] = {}) {
  const world = await bench(options);
  world.begin();
  const { body } = await world.deliver(push(), "push");
  const { recorder, end } = await world.run(1);
  const writer = world.logs.open(body.id);
  return {
    ...world,
    id: body.id as string,
    token: body.token as string,
    recorder,
    end,
    writer,
    url: await world.listen(),
  };
}

it("streams every event live, in order, each with an id, then the end with the deploy", async () => {
  const { id, url, recorder, writer, end } = await running();
  const watching = watch(`${url}/deploys/${id}/events`, {}, never);
  recorder.step("fetch", "running");
  for (let i = 1; i <= 100; i++) writer.write("stdout", `line ${i}\n`);
  recorder.step("fetch", "succeeded");
  end({ status: "succeeded" });
  const { seen, headers } = await watching;
  expect(headers.get("content-type")).toContain("text/event-stream");
  expect(headers.get("x-accel-buffering")).toBe("no");
  expect(headers.get("cache-control")).toContain("no-cache");
  const before = seen.slice(0, -1);
  expect(before.map((event) => Number(event.id))).toEqual(before.map((_, index) => index + 1));
  expect(texts(seen)).toEqual(Array.from({ length: 100 }, (_, i) => `line ${i + 1}`));
  expect(JSON.parse(seen.find((one) => one.event === "log")?.data ?? "")).toEqual({
    line: 1,
    text: "line 1",
    stream: "stdout",
    step: "fetch",
    time: expect.any(String),
  });
  const steps = seen.filter(({ event }) => event === "step").map(({ data }) => JSON.parse(data).status);
  expect(steps).toEqual(["running", "succeeded"]);
  expect(seen.some(({ event, data }) => event === "status" && JSON.parse(data).status === "succeeded")).toBe(
    true,
  );
  const last = seen.at(-1);
  expect(last).toMatchObject({ event: "end", id: "end" });
  expect(JSON.parse(last?.data ?? "")).toMatchObject({ id, status: "succeeded", logTail: expect.any(Array) });
});

it("goes on after the last id by header or by query, losing and repeating nothing", async () => {
  const { id, url, writer, end, ended } = await running();
  const events = `${url}/deploys/${id}/events`;
  for (let i = 1; i <= 30; i++) writer.say(`line ${i}`);
  const first = await watch(events, {}, (seen) => texts(seen).length >= 10);
  expect(first.ended).toBe(false);
  for (let i = 31; i <= 40; i++) writer.say(`line ${i}`);
  end({ status: "succeeded" });
  await ended(id);
  const last = first.seen.at(-1)?.id ?? "";
  const byHeader = await watch(`${events}?after=1`, { "last-event-id": last }, never);
  const byQuery = await watch(`${events}?after=${last}`, {}, never);
  for (const rest of [byHeader, byQuery])
    expect([...texts(first.seen), ...texts(rest.seen)]).toEqual(
      Array.from({ length: 40 }, (_, i) => `line ${i + 1}`),
    );
  // A browser that comes back after the end is told to stay away.
  expect(await watch(events, { "last-event-id": "end" }, never)).toMatchObject({ status: 204, seen: [] });
});

it("is the same stream on the deploy itself, and open to the deploy's own token", async () => {
  const { id, url, token, end, ended } = await running();
  end({ status: "succeeded" });
  await ended(id);
  const seen = await watch(
    `${url}/deploys/${id}`,
    { accept: "text/event-stream", authorization: `Bearer ${token}` },
    never,
  );
  expect(seen.seen.at(-1)?.event).toBe("end");
  expect((await watch(`${url}/deploys/${id}/events`, { authorization: "Bearer x" }, never)).status).toBe(401);
});

it("ends a superseded deploy with the id of the one that took its place", async () => {
  const { deliver, listen } = await bench();
  const url = await listen();
  const first = (await deliver(push(), "push")).body;
  const watching = watch(`${url}/deploys/${first.id}/events`, {}, never);
  const second = (await deliver(push({ after: shaOf(3) }), "push")).body;
  const { seen } = await watching;
  expect(JSON.parse(seen.at(-1)?.data ?? "")).toMatchObject({
    status: "superseded",
    supersededBy: second.id,
  });
});

it("sends a heartbeat while nothing happens", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  try {
    const { server, deliver } = await bench();
    const { id } = (await deliver(push(), "push")).body;
    const answer = await server.inject({
      url: `/deploys/${id}/events`,
      headers: { authorization: `Bearer ${operators.reader}` },
      payloadAsStream: true,
    });
    const stream = answer.stream()[Symbol.asyncIterator]();
    expect(String((await stream.next()).value)).toContain("retry:");
    const next = stream.next();
    await vi.advanceTimersByTimeAsync(10_500);
    const got = String((await next).value);
    expect(got).toMatch(/status|still here/);
    if (got.includes("status")) {
      const beat = stream.next();
      await vi.advanceTimersByTimeAsync(10_500);
      expect(String((await beat).value)).toBe(": still here\n\n");
    }
    await stream.return?.();
  } finally {
    vi.useRealTimers();
  }
});

it("follows the text from a line to the end", async () => {
  const { id, url, writer, end } = await running();
  writer.write("stdout", "one\n");
  await writer.flush();
  const following = fetch(`${url}/deploys/${id}/logs?follow=1&after=1`, {
    headers: { authorization: `Bearer ${operators.reader}` },
  });
  writer.write("stdout", "two\n");
  const response = await following;
  writer.write("stdout", "three\n");
  end({ status: "succeeded" });
  expect(await response.text()).toBe("two\nthree\n");
});

it("tells followers when the daemon stops, and never a false end", async () => {
  const { id, url, writer, server } = await running();
  writer.say("so far");
  const headers = { authorization: `Bearer ${operators.reader}` };
  const text = await fetch(`${url}/deploys/${id}/logs?follow=1`, { headers });
  const reading = text.text();
  let connect = () => {};
  const connected = new Promise<void>((resolve) => {
    connect = resolve;
  });
  const watching = watch(`${url}/deploys/${id}/events`, {}, (seen) => {
    if (texts(seen).length > 0) connect();
    return false;
  });
  const broken = expect(reading).rejects.toThrow();
  await connected;
  await server.close();
  await broken;
  const { seen } = await watching;
  expect(seen.at(-1)).toMatchObject({ event: "stopping", id: seen.at(-2)?.id });
  expect(seen.at(-1)?.id).toMatch(/^[1-9]/);
  expect(seen.some(({ event }) => event === "end")).toBe(false);
});

it("waits for a slow reader without waiting for it", async () => {
  const { id, url, writer, end, ended } = await running();
  const headers = { authorization: `Bearer ${operators.reader}` };
  const slow = await fetch(`${url}/deploys/${id}/events`, { headers });
  const lines = 20_000;
  for (let i = 1; i <= lines; i++) {
    await writer.drained();
    writer.write("stdout", `${i} ${"x".repeat(200)}\n`);
  }
  // The quick one gets everything while the slow one has not read a byte.
  const quick = watch(`${url}/deploys/${id}/events`, {}, never);
  end({ status: "succeeded" });
  await ended(id);
  expect(texts((await quick).seen)).toHaveLength(lines);
  expect((await slow.text()).match(/^event: log$/gm)).toHaveLength(lines);
});

it("gives all of it also to a reader who is still far behind long after the end", async () => {
  const { id, server, writer, end, ended } = await running({ patience: { closingMs: 1 } });
  const answer = await server.inject({
    url: `/deploys/${id}/logs?follow=1`,
    headers: { authorization: `Bearer ${operators.reader}` },
    payloadAsStream: true,
  });
  const stream = answer.stream()[Symbol.asyncIterator]();
  const lines = 20_000;
  writer.write("stdout", "0\n");
  let text = String((await stream.next()).value);
  for (let i = 1; i <= lines; i++) {
    await writer.drained();
    writer.write("stdout", `${i} ${"x".repeat(200)}\n`);
  }
  await writer.flush();
  end({ status: "succeeded" });
  await ended(id);
  for (let next = await stream.next(); !next.done; next = await stream.next()) {
    text += next.value;
    // Every piece is read much later than the one before it was written.
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  expect(text.match(/^\d+ x/gm)).toHaveLength(lines);
});

it("gives the client every event once, across lost connections and superseding deploys", async () => {
  const { deliver, client, logs, begin, run, listen } = await bench();
  await listen();
  const first = (await deliver(push(), "push")).body;
  const second = (await deliver(push({ after: shaOf(3) }), "push")).body;
  const events: DeployEvent[] = [];
  const follower = await client(first.token);
  const following = (async () => {
    for await (const event of follower.followEvents(first.id, { through: true })) events.push(event);
  })();
  begin();
  const { end } = await run(1);
  const writer = logs.open(second.id);
  for (let i = 1; i <= 5; i++) writer.say(`line ${i}`);
  end({ status: "succeeded" });
  await following;
  const ends = events.filter((event) => event.event === "end");
  expect(ends.map((event) => [event.deploy, event.data.status])).toEqual([
    [first.id, "superseded"],
    [second.id, "succeeded"],
  ]);
  const lines = events.filter((event) => event.event === "log" && event.deploy === second.id);
  expect(lines).toHaveLength(5);
});
