import { createHmac } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { convertWorkflowTemplate, NoOperationTraceWriter, parseWorkflow } from "@actions/workflow-parser";
import { convertActionTemplate, parseAction } from "@actions/workflow-parser/actions/index";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { formatSse } from "../../src/http/sse.js";
import { codeBlocks, repositoryRoot } from "../support/pages.ts";
import { runAction } from "../support/runner.ts";
import { tempDir } from "../support/temp.ts";
import { canTest } from "../support/tools.ts";

const file = join(repositoryRoot, "scripts/github-action/action.yml");
const secret = `It's a "secret" to $everybody`;
const github = {
  GITHUB_REPOSITORY: "acme/api",
  GITHUB_REF: "refs/heads/main",
  GITHUB_SHA: "ab12cd3".padEnd(40, "0"),
  GITHUB_RUN_ID: "77",
  GITHUB_RUN_ATTEMPT: "1",
};
const time = "2026-11-21T20:05:53.000Z";

/** The deploy as the daemon's `end` event has it, in its order of keys. */
const deploy = (id: string, status: string, more: object = {}) => ({
  id,
  app: "api",
  status,
  trigger: "request",
  ref: "refs/heads/main",
  commit: { sha: github.GITHUB_SHA, message: 'Say "release":"x" | `twice`', author: "Ada" },
  createdAt: time,
  startedAt: time,
  finishedAt: time,
  steps: [{ name: "install", status: "succeeded", durationMs: 2100 }],
  ...more,
  attempt: 1,
  urls: { self: "", logs: "", events: "" },
  logTail: ["status: failed"],
});
const accepted = {
  id: "0first",
  app: "api",
  status: "queued",
  commit: {},
  url: "https://x/deploys/0first",
  token: "T0KEN",
};
const log = (line: number, text: string, step: string | null = "install") =>
  ["log", { line, text, stream: "stdout", step, time }] as const;
const step = (name: string, status: string, durationMs?: number) =>
  ["step", { name, status, durationMs, time }] as const;

const trace = new NoOperationTraceWriter();
/** What GitHub's own parser has against a workflow or an action's file; empty when nothing. */
async function faultsOf(content: string, parse: typeof parseWorkflow): Promise<string[]> {
  const { context, value } = parse({ name: "file.yml", content }, trace);
  if (parse === parseWorkflow && value) await convertWorkflowTemplate(context, value);
  if (parse === parseAction && value) convertActionTemplate(context, value);
  return context.errors.getErrors().map(String);
}

describe("by GitHub's own parser", () => {
  const workflows = codeBlocks().filter((block) => block.title === "workflow");

  it("the action's file is one", async () => {
    const text = readFileSync(file, "utf8");
    expect(await faultsOf(text, parseAction)).toEqual([]);
    expect(await faultsOf(text.replace("using: composite", "using: compost"), parseAction)).not.toEqual([]);
  });

  it("the example workflows are workflows", async () => {
    expect(workflows.length).toBeGreaterThan(2);
    for (const { where, text } of workflows)
      expect([where, await faultsOf(text, parseWorkflow)]).toEqual([where, []]);
    const wrong = [
      ["runs-on:", "run-on:"],
      ["secrets.DEPLOY_SECRET", "secret.DEPLOY_SECRET"],
      ["branches: [main]", "branch: [main]"],
    ] as const;
    for (const [right, instead] of wrong) {
      const text = workflows.find((one) => one.text.includes(right))?.text ?? "";
      expect([instead, await faultsOf(text.replace(right, instead), parseWorkflow)]).not.toEqual([
        instead,
        [],
      ]);
    }
  });

  it("give the action only inputs it has, and the ones it must have", () => {
    const { inputs } = parse(readFileSync(file, "utf8"));
    for (const { where, text } of workflows) {
      const { jobs } = parse(text);
      const uses = Object.values<{ steps: { uses?: string; with?: object }[] }>(jobs)
        .flatMap((job) => job.steps)
        .filter((each) => each.uses?.includes("dropless"));
      for (const { uses: name, with: given = {} } of uses) {
        expect(name, where).toContain("/scripts/github-action@");
        expect(Object.keys(inputs), where).toEqual(expect.arrayContaining(Object.keys(given)));
        const proof = "audience" in given ? "audience" : "secret";
        expect(Object.keys(given), where).toEqual(expect.arrayContaining(["url", proof]));
      }
    }
  });
});

describe.runIf(canTest("bash") && canTest("curl") && canTest("openssl"))(
  "the action, run as a runner runs it",
  () => {
    let posts: string[] = [];
    let asked: IncomingMessage[] = [];
    let events: (request: IncomingMessage, response: ServerResponse) => void;
    let reply: { status: number; body: object };
    let url = "";
    const server = createServer(async (request, response) => {
      const body = Buffer.concat(await request.toArray()).toString();
      if (request.method === "POST") {
        posts.push(body);
        const signature = `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;
        expect(request.headers["x-hub-signature-256"]).toBe(signature);
        response
          .writeHead(reply.status, { "content-type": "application/json" })
          .end(JSON.stringify(reply.body));
      } else {
        asked.push(request);
        events(request, response);
      }
    });
    /** Answers with these events, numbered from `from`, and then hangs up. */
    const stream = (response: ServerResponse, from: number, all: (readonly [string, unknown])[]) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.end(
        `: hello\n\n${all.map(([name, data], i) => formatSse(String(from + i), name, data)).join("")}`,
      );
    };
    const run = (
      given: Record<string, string> = {},
      more: Record<string, string> = {},
      seen?: (raw: string) => void,
    ) => runAction(file, tempDir("runner"), { url, secret, ...given }, { ...github, ...more }, seen);

    beforeAll(async () => {
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    });
    afterAll(() => {
      server.closeAllConnections();
      server.close();
    });
    beforeEach(() => {
      posts = [];
      asked = [];
      reply = { status: 202, body: accepted };
    });

    it("shows each step as a group, masks the token, sets outputs, writes a summary", async () => {
      const receipt = { probes: 214, failed: 0, maxGapMs: 61 };
      events = (_request, response) =>
        stream(response, 1, [
          log(1, "deploying", null),
          step("install", "running"),
          log(2, 'added "3" packages \\o/ \u001b[32mgrün\u001b[0m\tC:\\new'),
          step("install", "succeeded", 2100),
          step("build", "skipped"),
          ["end", deploy("0first", "succeeded", { release: "20261121T200553-ab12cd3", receipt })],
        ]);
      const job = await run({ app: "api" });
      expect(job.raw).not.toContain(secret);
      expect(job).toMatchObject({ code: 0, masks: ["T0KEN"], errors: [] });
      expect(JSON.parse(posts[0] ?? "")).toEqual({
        repository: "acme/api",
        ref: "refs/heads/main",
        sha: github.GITHUB_SHA,
        delivery: "77-1",
        app: "api",
      });
      expect(job.groups).toEqual({
        install: [
          'added "3" packages \\o/ \u001b[32mgrün\u001b[0m\tC:\\new',
          "install succeeded after 2.1 s",
        ],
      });
      expect(job.outputs).toEqual({
        id: "0first",
        status: "succeeded",
        url: accepted.url,
        release: "20261121T200553-ab12cd3",
        probes: "214",
        failed: "0",
        "max-gap-ms": "61",
      });
      expect(job.summary).toContain("| ab12cd3 | 20261121T200553-ab12cd3 | 214 | 0 | 61 ms |");
      expect(asked[0]?.headers.authorization).toBe("Bearer T0KEN");
    });

    it("fails when the deploy failed, and says why where it is seen first", async () => {
      const error = {
        code: "x",
        message: "It crashed: 100% <b>bad</b>\nat boot",
        hint: "Look.",
        step: "preflight",
      };
      events = (_request, response) =>
        stream(response, 1, [
          step("preflight", "running"),
          step("preflight", "failed", 900),
          ["end", deploy("0first", "failed", { error })],
        ]);
      const job = await run();
      expect(job.code).toBe(1);
      expect(job.errors).toEqual(["api: failed. It crashed: 100%25 <b>bad</b>%0Aat boot"]);
      expect(job.outputs.status).toBe("failed");
      expect(job.text).toEqual(expect.arrayContaining(["preflight failed after 0.9 s", "hint: Look."]));
      expect(job.summary).toContain("It crashed: 100% &lt;b>bad&lt;/b> at boot");
    });

    it("lets nothing that an app prints become a command of the runner", async () => {
      const nasty = [
        "::add-mask::a",
        "::error::forged",
        "##[add-path]/evil",
        "::stop-commands::x",
        "::x::",
        "::endgroup::",
      ];
      events = (_request, response) =>
        stream(response, 1, [
          ...nasty.map((text, i) => log(i + 1, text, null)),
          step("install", "running"),
          ...nasty.map((text, i) => log(i + 10, text)),
          step("install", "succeeded", 1),
          ["end", deploy("0first", "succeeded")],
        ]);
      const job = await run();
      expect(job).toMatchObject({ code: 0, masks: ["T0KEN"], errors: [] });
      expect(job.groups.install?.slice(0, nasty.length)).toEqual(nasty);
    });

    it("goes on after a lost connection with the next event, and through a superseding deploy", async () => {
      events = (request, response) => {
        if (request.url === "/deploys/0second/events") {
          stream(response, 1, [log(1, "three", null), ["end", deploy("0second", "succeeded")]]);
        } else if (!request.headers["last-event-id"]) stream(response, 1, [log(1, "one", null)]);
        else
          stream(response, 2, [
            log(2, "two", null),
            ["end", deploy("0first", "superseded", { supersededBy: "0second" })],
          ]);
      };
      const job = await run();
      expect(job.code).toBe(0);
      expect(job.text.filter((line) => /^(one|two|three)$/.test(line))).toEqual(["one", "two", "three"]);
      expect(asked.map((request) => request.headers["last-event-id"])).toEqual([undefined, "1", undefined]);
      expect(job.outputs.id).toBe("0second");
    });

    it("follows every app of one delivery, and fails when one of them fails", async () => {
      reply.body = {
        ...accepted,
        deploys: [accepted, { ...accepted, id: "0other", app: "web", token: "T2" }],
      };
      events = (request, response) =>
        stream(response, 1, [
          request.url?.includes("0other")
            ? ["end", deploy("0other", "succeeded")]
            : ["end", deploy("0first", "rolled_back")],
        ]);
      const job = await run();
      expect(job).toMatchObject({ code: 1, masks: ["T0KEN", "T2"] });
      expect(asked.map((request) => request.headers.authorization)).toEqual(["Bearer T0KEN", "Bearer T2"]);
    });

    it("does not wait when it is told so", async () => {
      const job = await run({ wait: "false" });
      expect(job).toMatchObject({ code: 0, outputs: { id: "0first", status: "queued" } });
      expect(asked).toEqual([]);
    });

    it("shows each line when it comes, not when the connection ends", async () => {
      let open: ServerResponse | undefined;
      events = (_request, response) => {
        open = response;
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.write(formatSse("1", ...log(1, "so far", null)));
      };
      const job = await run({ timeout: "60" }, {}, (raw) => {
        // Only who has seen the line goes on.
        if (raw.includes("so far")) open?.end(formatSse("2", "end", deploy("0first", "succeeded")));
      });
      expect(job).toMatchObject({ code: 0, errors: [], outputs: { status: "succeeded" } });
    });

    it("shows an event whose connection broke in its middle once, and whole", async () => {
      const second = formatSse("2", ...log(2, "the second", null));
      events = (request, response) => {
        const first = !request.headers["last-event-id"];
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.end(
          first
            ? formatSse("1", ...log(1, "the first", null)) + second.slice(0, -12)
            : second + formatSse("3", "end", deploy("0first", "succeeded")),
        );
      };
      const job = await run();
      expect(asked.map((request) => request.headers["last-event-id"])).toEqual([undefined, "1"]);
      expect(job.text.filter((line) => line.startsWith("the "))).toEqual(["the first", "the second"]);
    });

    it("shows what a build prints as it printed it", async () => {
      const odd = [
        'a\\b "q" \\n \\u001b',
        "tab\there",
        "\u001b[31mred\u001b[0m\u0007\u001f",
        "ünï 🚀",
        '","stream":"x',
        "a&b \\& %s %d",
        "end\\",
      ];
      events = (_request, response) =>
        stream(response, 1, [
          ...odd.map((text, i) => log(i + 1, text, null)),
          ["end", deploy("0first", "succeeded")],
        ]);
      const job = await run();
      expect(job.text).toEqual(expect.arrayContaining(odd));
    });

    it("ends when its time is over, and says that the deploy goes on", async () => {
      events = (_request, response) =>
        response.writeHead(200).write(formatSse("1", ...log(1, "working", null)));
      const job = await run({ timeout: "1" });
      expect(job.code).toBe(1);
      expect(job.errors[0]).toContain("it goes on");
    });

    it("says a refusal in the daemon's words, and an ignored delivery is no failure", async () => {
      reply = {
        status: 401,
        body: { code: "not_signed", detail: "The signature fits no secret", hint: "Compare them" },
      };
      const refused = await run();
      expect(refused.code).not.toBe(0);
      expect(refused.errors).toEqual(["The signature fits no secret"]);
      reply = { status: 200, body: { ignored: "another branch" } };
      const ignored = await run();
      expect(ignored).toMatchObject({ code: 0, outputs: { status: "ignored" } });
      expect(ignored.warnings[0]).toContain("another branch");
    });
  },
);
