import { expect, it } from "vitest";
import type { Deploy } from "../../src/domain/deploy.js";
import { pendingSteps, type Step } from "../../src/domain/step.js";
import { createGithubApi } from "../../src/extras/github-api.js";
import { createGithubViews } from "../../src/extras/github-views.js";
import { readPayload } from "../../src/github/payload.js";
import { shaOf } from "../support/payloads.js";
import { type Received, receiver } from "../support/receiver.js";

const token = "a-token-of-github";

/** Answers as GitHub's REST API does, as far as deployments go. */
async function github(fails: (got: Received) => number | undefined = () => undefined) {
  const deployments: {
    id: number;
    sha: string;
    environment: string;
    payload: unknown;
    statuses: { state: string }[];
  }[] = [];
  const served = await receiver((got) => {
    const failing = fails(got);
    if (failing) return { status: failing, body: { message: "no" } };
    if (got.headers.authorization !== `Bearer ${token}`)
      return { status: 401, body: { message: "Bad credentials" } };
    const { pathname, searchParams } = new URL(got.path, "http://x");
    const [, id] = /^\/repos\/acme\/api\/deployments\/(\d+)\/statuses$/.exec(pathname) ?? [];
    if (id) {
      const { state, ...more } = JSON.parse(got.body);
      const known = ["error", "failure", "inactive", "in_progress", "queued", "pending", "success"];
      if (!known.includes(state) || more.description?.length > 140) return { status: 422, body: {} };
      deployments[Number(id) - 1]?.statuses.push(JSON.parse(got.body));
      return { status: 201, body: { id: 1, state } };
    }
    if (pathname !== "/repos/acme/api/deployments") return { status: 404, body: { message: "Not Found" } };
    if (got.method === "GET") {
      const found = deployments.filter(
        ({ sha, environment }) =>
          sha === searchParams.get("sha") && environment === searchParams.get("environment"),
      );
      return { status: 200, body: found };
    }
    const { ref, environment, payload, auto_merge, required_contexts } = JSON.parse(got.body);
    if (auto_merge !== false || required_contexts?.length !== 0) return { status: 409, body: {} };
    const made = { id: deployments.length + 1, sha: ref, ref, environment, payload, statuses: [] };
    deployments.push(made);
    return { status: 201, body: made };
  });
  return { ...served, deployments };
}

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

function views(apiUrl: string, repository = "git@github.com:acme/api.git", given = token) {
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
    api: createGithubApi({ token: given, apiUrl }),
    logger: { warn: (facts: object) => void warned.push(facts) },
    linkOf: (id) => `https://deploy.example.com/#/deploys/${id}`,
    pausesMs: [1],
  });
  // Stopping waits for what is under way.
  return { tell: (deploy: Deploy) => listener(deploy), stop: made.stop, warned };
}

it("shows a deploy from when it is decided to its end, with a link to the log", async () => {
  const { url, deployments, got } = await github();
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

  const flaky = await github((got) => (got.method === "POST" && flaky.got.length === 2 ? 502 : undefined));
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
    readPayload({ event: "deployment", contentType: "application/json", text }, [app], new Set(["api"])),
  ).toEqual({
    kind: "ignored",
    reason: "dropless created this deployment itself",
  });
});
