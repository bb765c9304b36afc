import { generateKeyPairSync } from "node:crypto";
import { expect, it } from "vitest";
import type { Deploy } from "../../src/domain/deploy.js";
import { pendingSteps, type Step } from "../../src/domain/step.js";
import { createGithubApi } from "../../src/extras/github-api.js";
import { createInstallationToken, fixedToken, type GithubToken } from "../../src/extras/github-token.js";
import { createGithubViews } from "../../src/extras/github-views.js";
import { createPayloadReader } from "../../src/github/payload.js";
import { githubServer } from "../support/github.js";
import { shaOf } from "../support/payloads.js";
import type { Received } from "../support/receiver.js";

const token = "a-token-of-github";
const github = (fails?: (got: Received, nth: number) => number | undefined) => githubServer({ token, fails });

const fetched = pendingSteps().map(
  (step): Step => (step.name === "fetch" ? { ...step, status: "succeeded" } : step),
);
const running = (more: object = {}): Deploy => ({
  id: "01d",
  app: "api",
  status: "running",
  trigger: "push",
  ref: "refs/heads/main",
  commit: { sha: shaOf(2), message: "", author: "" },
  standsFor: [shaOf(2)],
  createdAt: "2026-01-01T00:00:00.000Z",
  startedAt: "2026-01-01T00:00:00.000Z",
  steps: fetched,
  attempt: 1,
  ...more,
});
const ended = (status: string, more: object = {}) =>
  running({ status, finishedAt: "2026-01-01T00:01:00.000Z", ...more });

function views(
  apiUrl: string,
  repository = "git@github.com:acme/api.git",
  given: string | GithubToken = token,
) {
  let listener: (deploy: Deploy) => void = () => {};
  const warned: object[] = [];
  const made = createGithubViews({
    apps: [{ name: "api", repository }],
    queue: {
      subscribe(one) {
        listener = one;
        return () => {};
      },
    },
    api: createGithubApi({ token: typeof given === "string" ? fixedToken(given) : given, apiUrl }),
    logger: { warn: (facts: object) => void warned.push(facts) },
    linkOf: (id) => `https://deploy.example.com/#/deploys/${id}`,
    pausesMs: [1],
  });
  // Stopping waits for what is under way.
  return { tell: (deploy: Deploy) => listener(deploy), stop: made.stop, warned };
}

it("shows a deploy from when it is decided to its end, with a link to the log", async () => {
  const { url, deployments, got, unfit } = await github();
  const { tell, stop, warned } = views(url);
  tell(running({ steps: pendingSteps() }));
  tell(running());
  tell(running({ release: "r" }));
  tell(ended("succeeded"));
  await stop();
  expect(warned).toEqual([]);
  expect(deployments).toMatchObject([{ sha: shaOf(2), environment: "api", payload: { dropless: "01d" } }]);
  const log_url = "https://deploy.example.com/#/deploys/01d";
  expect(deployments[0]?.statuses).toEqual([
    { state: "in_progress", description: "dropless: running", log_url },
    { state: "success", description: "dropless: succeeded", log_url },
  ]);
  expect(got).toHaveLength(4);
  expect(got[0]?.headers["x-github-api-version"]).toBe("2022-11-28");
  // Every call and every answer is as GitHub's own description of its API has it.
  expect(unfit).toEqual([]);
});

it("says why one failed, in as many characters as GitHub takes", async () => {
  const { url, deployments } = await github();
  const { tell, stop } = views(url);
  tell(running());
  tell(
    ended("rolled_back", { error: { code: "unhealthy", message: "It answered 500. ".repeat(20), hint: "" } }),
  );
  await stop();
  expect(deployments[0]?.statuses[1]).toMatchObject({
    state: "failure",
    description: expect.stringMatching(/^rolled_back: It answered 500\. .*…$/),
  });
});

it("shows nothing of what was skipped, and goes on with its own deployment after a restart", async () => {
  const { url, deployments } = await github();
  const first = views(url);
  first.tell(running({ id: "00s", steps: pendingSteps() }));
  first.tell(ended("skipped", { id: "00s", steps: pendingSteps() }));
  first.tell(running());
  await first.stop();
  const second = views(url);
  second.tell(running());
  second.tell(ended("succeeded"));
  await second.stop();
  expect(deployments).toHaveLength(1);
  expect(deployments[0]?.statuses.map(({ state }) => state)).toEqual([
    "in_progress",
    "in_progress",
    "success",
  ]);
});

it("leaves the deploy alone when GitHub refuses or is away, and says so without the token", async () => {
  const refusing = await github();
  const wrong = views(refusing.url, undefined, "another-token");
  wrong.tell(running());
  wrong.tell(ended("succeeded"));
  await wrong.stop();
  expect(wrong.warned).toMatchObject([{ deploy: "01d", reason: "answered 401" }]);
  expect(JSON.stringify(wrong.warned)).not.toContain("another-token");

  const flaky = await github((got, nth) => (got.method === "POST" && nth === 2 ? 502 : undefined));
  const patient = views(flaky.url);
  patient.tell(running());
  await patient.stop();
  expect(patient.warned).toEqual([]);
  expect(flaky.deployments).toHaveLength(1);

  const local = views(refusing.url, "/srv/git/acme/api.git");
  const before = refusing.got.length;
  local.tell(running());
  await local.stop();
  expect(refusing.got).toHaveLength(before);
});

it("makes deployments that dropless does not deploy again", async () => {
  const { url, deployments } = await github();
  const { tell, stop } = views(url);
  tell(running());
  await stop();
  const text = JSON.stringify({
    action: "created",
    deployment: { ...deployments[0], ref: "main", creator: { login: "dropless" } },
    repository: { full_name: "acme/api" },
  });
  const app = {
    name: "api",
    repository: "git@github.com:acme/api.git",
    branch: "main",
    on: ["deployment" as const],
  };
  expect(
    createPayloadReader([app])(
      { event: "deployment", contentType: "application/json", text },
      new Set(["api"]),
    ),
  ).toEqual({
    kind: "ignored",
    reason: "dropless created this deployment itself",
  });
});

const keys = generateKeyPairSync("rsa", { modulusLength: 2048 });
// As GitHub hands it out: PKCS#1.
const privateKey = keys.privateKey.export({ type: "pkcs1", format: "pem" }).toString();
const asks = (got: Received[]) => got.filter(({ path }) => path.endsWith("/access_tokens")).length;
const app = { id: "4711", publicKey: keys.publicKey };

it("speaks as a GitHub App: one token for many calls, and a new one before it expires", async () => {
  const { url, deployments, got, tokens, unfit } = await githubServer({ app });
  let ahead = 0;
  const given = createInstallationToken({
    app: 4711,
    installation: 77,
    privateKey,
    apiUrl: url,
    now: () => Date.now() + ahead,
  });
  const options = { signal: AbortSignal.timeout(60_000), pausesMs: [1] };
  const both = await Promise.all([given.read(options), given.read(options)]);
  expect(both).toEqual([[...tokens][0], [...tokens][0]]);
  const { tell, stop, warned } = views(url, undefined, given);
  tell(running());
  tell(ended("succeeded"));
  await stop();
  expect(warned).toEqual([]);
  expect(deployments[0]?.statuses.map(({ state }) => state)).toEqual(["in_progress", "success"]);
  expect(asks(got)).toBe(1);
  expect(JSON.parse(got[0]?.body ?? "")).toEqual({ permissions: { deployments: "write" } });
  // Six minutes before its end the old one still does, four minutes before it not any more. (The proof is of now.)
  ahead = 54 * 60_000;
  expect(await given.read(options)).toBe(both[0]);
  ahead = 0;
  const soon = await githubServer({ app: { ...app, lifeMs: 4 * 60_000 } });
  const short = createInstallationToken({ app: 4711, installation: 77, privateKey, apiUrl: soon.url });
  expect(await short.read(options)).not.toBe(await short.read(options));
  expect([...unfit, ...soon.unfit]).toEqual([]);
});

it("makes a new token when GitHub has revoked the one it has, and says so when the App gets none", async () => {
  const server = await githubServer({ app });
  const given = createInstallationToken({ app: "4711", installation: 77, privateKey, apiUrl: server.url });
  const first = views(server.url, undefined, given);
  first.tell(running());
  await first.stop();
  server.tokens.clear();
  const second = views(server.url, undefined, given);
  second.tell(running());
  second.tell(ended("succeeded"));
  await second.stop();
  expect([...first.warned, ...second.warned]).toEqual([]);
  expect(asks(server.got)).toBe(2);

  const stranger = createInstallationToken({ app: 4712, installation: 77, privateKey, apiUrl: server.url });
  const third = views(server.url, undefined, stranger);
  third.tell(running({ id: "03d" }));
  await third.stop();
  expect(third.warned).toMatchObject([{ reason: "the GitHub App got no token: GitHub answered 401" }]);
  expect(asks(server.got)).toBe(3);
});
