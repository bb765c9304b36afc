import { expect, it } from "vitest";
import { stepNames } from "../../src/domain/step.js";
import { deploySchema, listSchema } from "../../src/http/wire.js";
import { push, shaOf } from "../support/payloads.js";
import { bench, operators, secrets } from "./bench.js";

it("shows a deploy as it waits, runs and has ended", async () => {
  const { deliver, inject, begin, run, ended, logs } = await bench();
  const { id } = (await deliver(push(), "push")).body;
  const see = async () => (await inject("GET", `/deploys/${id}`)).body;
  const waiting = await see();
  expect(waiting).toMatchObject({
    id,
    app: "api",
    status: "queued",
    trigger: "push",
    ref: "refs/heads/main",
    commit: { sha: shaOf(2), author: "Ann Dev" },
    startedAt: null,
    finishedAt: null,
    position: 1,
    attempt: 1,
    logTail: [],
    urls: {
      self: `https://deploy.example.com/deploys/${id}`,
      logs: `https://deploy.example.com/deploys/${id}/logs`,
      events: `https://deploy.example.com/deploys/${id}/events`,
    },
  });
  expect(waiting.steps.map((step: { name: string }) => step.name)).toEqual(stepNames);

  begin();
  const { recorder, end } = await run(1);
  recorder.step("fetch", "running");
  // Waited for longer than it took (two clocks): nothing is left, and never less.
  recorder.step("fetch", "succeeded", 60_000);
  recorder.step("install", "running");
  recorder.step("install", "skipped", 0, "Nothing to install");
  recorder.receipt({ probes: 10, failed: 0, maxGapMs: 12 });
  const writer = logs.open(id);
  for (let i = 1; i <= 60; i++) writer.say(`line ${i}`);
  await writer.flush();
  const running = await see();
  expect(running).toMatchObject({
    status: "running",
    startedAt: expect.any(String),
    receipt: { probes: 10 },
  });
  expect(running.position).toBeUndefined();
  expect(running.steps[0]).toMatchObject({
    name: "fetch",
    status: "succeeded",
    durationMs: expect.any(Number),
    ownMs: 0,
  });
  expect(running.steps[0].reason).toBeUndefined();
  expect(running.steps[1]).toMatchObject({
    name: "install",
    status: "skipped",
    reason: "Nothing to install",
  });
  expect(running.logTail).toHaveLength(50);
  expect(running.logTail.at(-1)).toBe("line 60");

  const error = {
    code: "build_failed",
    message: "The build failed.",
    hint: "Read it.",
    step: "build" as const,
  };
  end({ status: "failed", error });
  await ended(id);
  const over = await see();
  expect(over).toMatchObject({ status: "failed", error, finishedAt: expect.any(String) });
  // Nothing but what the contract names goes out.
  expect(deploySchema.strict().parse(over)).toEqual(over);
});

it("lists newest first, filtered, page by page", async () => {
  const { queue, inject } = await bench();
  const ids: string[] = [];
  for (let i = 0; i < 25; i++) {
    const app = i % 5 === 0 ? "web" : "api";
    const commit = { sha: shaOf(i), message: "", author: "" };
    const one = queue.ask({ app, trigger: "manual", ref: "refs/heads/main", commit });
    if (one.kind === "queued") ids.unshift(one.deploy.id);
  }
  const first = (await inject("GET", "/deploys?limit=10")).body;
  expect(listSchema.safeParse(first).success).toBe(true);
  const second = (await inject("GET", `/deploys?limit=10&before=${first.next}`)).body;
  const third = (await inject("GET", `/deploys?limit=10&before=${second.next}`)).body;
  expect([first, second, third].flatMap((page) => page.deploys.map((one: { id: string }) => one.id))).toEqual(
    ids,
  );
  expect(third.next).toBeUndefined();
  const web = (await inject("GET", "/deploys?app=web&limit=100")).body;
  expect(web.deploys).toHaveLength(5);
  const waiting = (await inject("GET", "/deploys?app=web&status=queued")).body;
  expect(waiting.deploys.map((one: { id: string }) => one.id)).toEqual([web.deploys[0].id]);
  for (const bad of [
    "limit=0",
    "limit=101",
    "limit=x",
    "status=done",
    "before=-",
    "before=unknown",
    "app=a&app=b",
  ])
    expect(await inject("GET", `/deploys?${bad}`), bad).toMatchObject({
      status: 400,
      body: { code: "invalid_request" },
    });
});

it("deploys by hand: the branch, a ref, a sha", async () => {
  const { inject, queue } = await bench();
  const ask = (body: unknown) => inject("POST", "/deploys", { body, token: operators.deployer });
  const answer = await ask({ app: "api" });
  expect(answer).toMatchObject({
    status: 202,
    body: { app: "api", status: "queued", position: 1, token: expect.any(String) },
  });
  const asked = async (ref: string) => queue.get((await ask({ app: "twin", ref })).body.id);
  expect(queue.get(answer.body.id)).toMatchObject({
    trigger: "manual",
    ref: "refs/heads/main",
    commit: { sha: "" },
  });
  expect(await asked("next")).toMatchObject({ ref: "refs/heads/next" });
  expect(await asked("v1.2.3")).toMatchObject({ ref: "v1.2.3", commit: { sha: "" } });
  expect(await asked(shaOf(7))).toMatchObject({ ref: shaOf(7), commit: { sha: shaOf(7) } });

  expect(await ask({ app: "nothing" })).toMatchObject({ status: 404, body: { code: "app_unknown" } });
  expect(await ask({ app: "constructor" })).toMatchObject({ status: 404 });
  for (const body of [
    {},
    { app: "api", ref: "--exec=x" },
    { app: "api", ref: "a b" },
    { app: "api", reff: "x" },
    [],
  ])
    expect(await ask(body), JSON.stringify(body)).toMatchObject({
      status: 400,
      body: { code: "invalid_request" },
    });
  queue.hold("api", "audit", "ann");
  expect(await ask({ app: "api" })).toMatchObject({ status: 409, body: { code: "held" } });
});

it("cancels what waits and what runs, and says when it is too late", async () => {
  const { inject, queue, begin, run, ended, deliver } = await bench();
  const { id } = (await deliver(push(), "push")).body;
  const cancel = () => inject("POST", `/deploys/${id}/cancel`, { token: operators.deployer });
  expect(await cancel()).toMatchObject({ status: 202, body: { id, status: "canceled" } });
  expect(await cancel()).toMatchObject({ status: 409, body: { code: "not_cancelable" } });
  begin();
  const other = (await deliver(push({ after: shaOf(5) }), "push")).body.id;
  await run(1);
  expect((await inject("POST", `/deploys/${other}/cancel`)).status).toBe(202);
  await ended(other);
  expect(queue.get(other)?.status).toBe("canceled");
  expect(await inject("POST", "/deploys/01nothing/cancel")).toMatchObject({
    status: 404,
    body: { code: "not_found" },
  });
});

it("answers for a superseded deploy as long as anybody asks", async () => {
  const { deliver, inject } = await bench();
  const first = (await deliver(push(), "push")).body;
  const second = (await deliver(push({ after: shaOf(3) }), "push")).body;
  const see = await inject("GET", `/deploys/${first.id}`, { token: first.token });
  expect(see.body).toMatchObject({ status: "superseded", supersededBy: second.id });
  // Its token goes on to the one that took its place.
  expect((await inject("GET", `/deploys/${second.id}`, { token: first.token })).status).toBe(200);
});

it("gives the log as plain text, from any line", async () => {
  const { deliver, inject, logs } = await bench();
  const { id } = (await deliver(push(), "push")).body;
  const writer = logs.open(id);
  writer.step("build", "running");
  writer.write("stdout", "\u001b[32mgreen\u001b[0m\n");
  writer.write("stderr", "<script>alert(1)</script>\n");
  writer.say("done");
  await writer.flush();
  const whole = await inject("GET", `/deploys/${id}/logs`);
  expect(whole.text).toBe("\u001b[32mgreen\u001b[0m\n<script>alert(1)</script>\ndone\n");
  expect(whole.headers).toMatchObject({
    "content-type": "text/plain; charset=utf-8",
    "x-content-type-options": "nosniff",
  });
  expect((await inject("GET", `/deploys/${id}/logs?after=2`)).text).toBe("done\n");
  expect((await inject("GET", `/deploys/${id}/logs?after=3`)).text).toBe("");
  expect((await inject("GET", `/deploys/${id}/logs?after=-1`)).status).toBe(400);
  expect((await inject("GET", "/deploys/01nothing/logs")).status).toBe(404);
});

it("lets no secret out, whoever put it into a message", async () => {
  const { deliver, inject, begin, run, ended } = await bench();
  const leaky = { message: `password ${secrets.api}`, author: { name: btoa(`x:${secrets.web}`) } };
  const { id, commit } = (await deliver(push({ head_commit: leaky }), "push")).body;
  expect(commit.message).toBe("password ***");
  begin();
  const { end } = await run(1);
  const message = `git said https://user:pass-${secrets.api}@host/x is gone`;
  end({ status: "failed", error: { code: "x", message, hint: encodeURIComponent(secrets.twin) } });
  await ended(id);
  const events = await inject("GET", `/deploys/${id}/events`);
  for (const { text } of [await inject("GET", `/deploys/${id}`), await inject("GET", "/deploys"), events]) {
    expect(text).toContain("is gone");
    for (const secret of Object.values(secrets)) expect(text).not.toContain(secret);
  }
});
