import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { triggers } from "../../src/config/schema.js";
import { isRefName, isSha } from "../../src/domain/ref.js";
import { createPayloadReader, fullNameOf, type Reading, type Received } from "../../src/github/payload.js";
import { deployment, push, release, request, shaOf, workflowRun } from "../support/payloads.js";

type Apps = Parameters<typeof createPayloadReader>[0];
const readPayload = (received: Received, apps: Apps, signed: Set<string>): Reading =>
  createPayloadReader(apps)(received, signed);

const app = (name: string, more: Partial<Apps[number]> = {}) => ({
  name,
  repository: "git@github.com:acme/api.git",
  branch: "main",
  on: [...triggers],
  workflow: "ci.yml",
  ...more,
});

const json = "application/json";
const readIt = (
  event: string | undefined,
  body: unknown,
  apps = [app("api")],
  signed = apps.map(({ name }) => name),
): Reading =>
  readPayload(
    { event, contentType: json, text: typeof body === "string" ? body : JSON.stringify(body) },
    apps,
    new Set(signed),
  );
const codeOf = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
  return "accepted";
};
const appsIn = (reading: Reading) =>
  reading.kind === "requests" ? reading.requests.map((one) => one.app) : reading;

describe("what each event asks for", () => {
  const commit = { sha: shaOf(2), message: "Say hello\n\nTwice.", author: "Ann Dev" };
  it.each([
    ["push", push(), { trigger: "push", ref: "refs/heads/main", commit }],
    ["workflow_run", workflowRun(), { trigger: "workflow_run", ref: "refs/heads/main", commit }],
    [
      "release",
      release(),
      {
        trigger: "release",
        ref: "refs/tags/v1.2.3",
        commit: { sha: "", message: "The third", author: "ann" },
      },
    ],
    [
      "deployment",
      deployment(),
      { trigger: "deployment", ref: "main", commit: { sha: shaOf(2), message: "", author: "ann" } },
    ],
    [
      undefined,
      request(),
      { trigger: "request", ref: "refs/heads/main", commit: { sha: shaOf(2), message: "", author: "" } },
    ],
  ])("%s", (event, body, wanted) => {
    expect(readIt(event, body)).toMatchObject({ kind: "requests", requests: [{ app: "api", ...wanted }] });
  });

  it("reads GitHub's form encoding as it reads JSON", () => {
    const text = new URLSearchParams({ payload: JSON.stringify(push()) }).toString();
    const form = { event: "push", contentType: "application/x-www-form-urlencoded", text };
    expect(appsIn(readPayload(form, [app("api")], new Set(["api"])))).toEqual(["api"]);
    expect(codeOf(() => readPayload({ ...form, text: "a=b" }, [], new Set()))).toBe("unreadable");
    // What was signed as JSON, with somebody's words in it, is no form because the unsigned header says so.
    const words = JSON.stringify({ action: "opened", issue: { body: `&${text}&` } });
    expect(codeOf(() => readPayload({ ...form, text: words }, [app("api")], new Set(["api"])))).toBe(
      "unreadable",
    );
  });

  it("answers a ping", () => {
    expect(readIt("ping", { zen: "Keep it logically awesome.", hook_id: 1 })).toEqual({ kind: "pong" });
  });

  it("takes the delivery's id from where it is", () => {
    expect(readIt(undefined, request())).toMatchObject({ deliveryId: "123456-1" });
    expect(readIt(undefined, request({ delivery: "a\nb" }))).toMatchObject({ deliveryId: undefined });
    const github = { event: "push", delivery: "0e5c-1", contentType: json, text: JSON.stringify(push()) };
    expect(readPayload(github, [app("api")], new Set(["api"]))).toMatchObject({ deliveryId: "0e5c-1" });
  });
});

describe("what has no effect", () => {
  it.each<[string | undefined, unknown, string]>([
    ["push", push({ ref: "refs/heads/next" }), "another branch"],
    ["push", push({ ref: "refs/tags/v1" }), "not a push to a branch"],
    ["push", push({ deleted: true, after: "0".repeat(40), head_commit: null }), "deleted"],
    ["issues", { action: "opened" }, "does not act on the event issues"],
    ["<script>", {}, "the event unknown"],
    ["workflow_run", workflowRun({ conclusion: "failure" }), "not successful"],
    ["workflow_run", workflowRun({}, { action: "requested" }), "not completed"],
    ["workflow_run", workflowRun({ event: "pull_request" }), "for a push"],
    ["workflow_run", workflowRun({ head_repository: { full_name: "mallory/api" } }), "fork"],
    ["workflow_run", workflowRun({ head_repository: null }), "fork"],
    ["workflow_run", workflowRun({ path: ".github/workflows/nightly-ci.yml" }), "another workflow"],
    ["workflow_run", workflowRun({ head_branch: "next" }), "another branch"],
    ["release", release({}, "created"), "not published"],
    ["release", release({ draft: true }), "draft"],
    ["release", release({ target_commitish: "1.x" }), "another branch"],
    ["deployment", deployment({ ref: "feature" }), "another branch"],
    ["deployment", deployment({ payload: { dropless: "01" } }), "itself"],
    [undefined, request({ ref: "refs/heads/next" }), "another branch"],
    [undefined, request({ ref: "refs/tags/main" }), "not the ref of a branch"],
  ])("%s: %j", (event, body, reason) => {
    const reading = readIt(event, body);
    expect(reading.kind).toBe("ignored");
    expect((reading as { reason: string }).reason).toContain(reason);
  });

  it("is a kind that is not in `on`", () => {
    for (const [event, body] of [
      ["push", push()],
      ["release", release()],
      [undefined, request()],
    ] as const)
      expect(readIt(event, body, [app("api", { on: ["workflow_run"] })])).toMatchObject({ kind: "ignored" });
  });
});

describe("which apps it concerns", () => {
  const [api, next, other] = [
    app("api"),
    app("next", { branch: "next", repository: "https://GitHub.com/Acme/API" }),
    app("other", { repository: "/srv/git/acme/other.git" }),
  ] as const;
  const twin = app("twin", { repository: "ssh://git@github.com/acme/api.git/" });

  it("all of the repository and the branch", () => {
    expect(appsIn(readIt("push", push(), [api, next, other, twin]))).toEqual(["api", "twin"]);
    expect(appsIn(readIt("push", push({ ref: "refs/heads/next" }, "ACME/Api"), [api, next, twin]))).toEqual([
      "next",
    ]);
  });

  it("only the one a request names", () => {
    expect(appsIn(readIt(undefined, request({ app: "twin" }), [api, twin]))).toEqual(["twin"]);
    expect(codeOf(() => readIt(undefined, request({ app: "other" }), [api, other]))).toBe("app_unknown");
  });

  it("only those whose secret verified", () => {
    expect(appsIn(readIt("push", push(), [api, twin], ["twin"]))).toEqual(["twin"]);
    expect(codeOf(() => readIt("push", push(), [api, other], ["other"]))).toBe("not_signed");
    expect(codeOf(() => readIt(undefined, request({ app: "api" }), [api, twin], ["twin"]))).toBe(
      "not_signed",
    );
  });

  it("none of a repository nobody knows", () => {
    expect(codeOf(() => readIt("push", push({}, "mallory/api"), [api]))).toBe("app_unknown");
  });

  it.each([
    ["git@github.com:acme/api.git", "acme/api"],
    ["https://user:token@github.com/Acme/Api", "acme/api"],
    ["ssh://git@host:22/acme/api.git/", "acme/api"],
    ["file:///srv/git/acme/api.git", "acme/api"],
    ["/srv/git/acme/api", "acme/api"],
    ["acme/api.js", "acme/api.js"],
  ])("knows %s as %s", (url, name) => expect(fullNameOf(url)).toBe(name));
});

describe("hostile payloads", () => {
  it.each<[string, unknown]>([
    ["an option for a ref", push({ ref: "--upload-pack=touch /tmp/x" })],
    ["a ref with an escape", push({ ref: "refs/heads/a\u001b[2J" })],
    ["a ref that climbs", push({ ref: "refs/heads/../../x" })],
    ["an option for a sha", push({ after: "--exec=x" })],
    ["a short sha", push({ after: "abc1234" })],
    ["a sha with more behind it", push({ after: `${shaOf(2)}\n--x` })],
    ["a repository that climbs", push({}, "../../etc")],
    ["a list", []],
    ["nothing", null],
    ["text", '"push"'],
    ["half a document", '{"ref": '],
    ["a deep nest", "[".repeat(200_000)],
  ])("%s is unreadable", (_, body) => {
    expect(codeOf(() => readIt("push", body))).toBe("unreadable");
    expect(codeOf(() => readIt(undefined, body))).toBe("unreadable");
  });

  it("bounds and cleans what people wrote", () => {
    const head_commit = {
      message: `\u001b]0;owned\u0007${"long ".repeat(10_000)}`,
      author: { name: "\u202eevil\r\nx <script>" },
    };
    const reading = readIt("push", push({ head_commit }));
    const commit = reading.kind === "requests" ? reading.requests[0]?.commit : undefined;
    expect(commit?.message.length).toBeLessThanOrEqual(1000);
    expect(commit?.message).toMatch(/^\]0;owned long/);
    expect(commit?.author).toBe("evil\nx <script>");
  });

  it("whatever comes: requests that git can take, or a Fault that says so", () => {
    const odd = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom("-x", "refs/heads/main", shaOf(3), "", "a b"),
    );
    const value = fc.oneof(fc.anything(), odd);
    const payload = fc.oneof(
      fc
        .record({ ref: odd, after: odd, head_commit: value, deleted: fc.boolean() }, { requiredKeys: [] })
        .map(push),
      fc
        .record({ head_sha: odd, head_branch: odd, path: odd, head_commit: value }, { requiredKeys: [] })
        .map((run) => workflowRun(run)),
      fc
        .record({ tag_name: odd, target_commitish: odd, name: value }, { requiredKeys: [] })
        .map((made) => release(made)),
      fc.record({ sha: odd, ref: odd, payload: value }, { requiredKeys: [] }).map(deployment),
      fc
        .record({ ref: odd, sha: odd, app: odd, repository: odd, delivery: value }, { requiredKeys: [] })
        .map(request),
      fc.json(),
      fc.string({ unit: "binary" }),
    );
    const event = fc.option(fc.oneof(fc.constantFrom(...triggers, "ping"), fc.string()), { nil: undefined });
    fc.assert(
      fc.property(event, payload, fc.boolean(), (name, body, signed) => {
        let reading: Reading;
        try {
          reading = readIt(name, body, [app("api")], signed ? ["api"] : []);
        } catch (error) {
          expect(error).toMatchObject({ name: "Fault" });
          return;
        }
        if (reading.kind !== "requests") return;
        expect(signed).toBe(true);
        for (const { ref, commit } of reading.requests) {
          expect(isRefName(ref) && !ref.startsWith("-")).toBe(true);
          expect(commit.sha === "" || isSha(commit.sha)).toBe(true);
          expect(`${commit.message}${commit.author}`).not.toMatch(
            /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/,
          );
        }
      }),
      { numRuns: 2000 },
    );
  });
});
