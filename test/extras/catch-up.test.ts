import { join } from "node:path";
import { expect, it } from "vitest";
import { createOriginHead } from "../../src/adapters/origin-head.js";
import type { DeployStatus, Trigger } from "../../src/domain/deploy.js";
import { createCatchUp, isMissed } from "../../src/extras/catch-up.js";
import { bench } from "../http/bench.js";
import { shaOf } from "../support/payloads.js";
import { createRepo } from "../support/repo.js";
import { tempDir } from "../support/temp.js";

const head = shaOf(9);
const live = { release: "r", sha: shaOf(1), deploy: "d", since: "2026-01-01T00:00:00.000Z" };
const left = { sha: head, deploy: "e", automatic: false };
const hold = { reason: "frozen", by: "ann", since: live.since };

it.each<[string, boolean, Parameters<typeof isMissed>[1], DeployStatus | undefined, Trigger]>([
  ["a commit nobody has heard of", true, { live }, undefined, "push"],
  ["what is live already", false, { live: { ...live, sha: head } }, undefined, "push"],
  ["an app that was never live", false, {}, undefined, "push"],
  ["an app on hold", false, { live, hold }, undefined, "push"],
  ["what waits", false, { live }, "queued", "push"],
  ["what runs", false, { live }, "running", "push"],
  ["what failed", false, { live }, "failed", "push"],
  ["what was canceled", false, { live }, "canceled", "push"],
  ["what was rolled back", false, { live }, "rolled_back", "push"],
  ["what could not be rolled back", false, { live }, "rollback_failed", "push"],
  ["what was left out for a reason", false, { live }, "skipped", "push"],
  ["what a newer deploy took over", false, { live }, "superseded", "push"],
  ["what a person has left", false, { live, left }, "succeeded", "rollback"],
  ["what a person has replaced", false, { live }, "succeeded", "manual"],
  ["a branch that was reset to what was live before", true, { live }, "succeeded", "push"],
  [
    "a fix that was pushed after a rollback",
    true,
    { live, left: { ...left, sha: shaOf(8) } },
    undefined,
    "push",
  ],
])("%s: missed is %s", (_what, missed, state, status, trigger) => {
  expect(isMissed(head, state, status && { status }, { trigger })).toBe(missed);
});

it("queues the push that was missed once, and only for apps that take pushes", async () => {
  const {
    config,
    queue,
    live: makeLive,
    begin,
    until,
  } = await bench({
    apps: {
      asked: {
        repository: "git@github.com:acme/asked.git",
        root: "/srv/asked",
        secrets: ["env:api"],
        on: ["request"],
        pm2: { script: "s.js", name: "asked" },
      },
    },
  });
  begin();
  for (const app of ["api", "web", "asked"]) await makeLive(app, shaOf(1));
  const asked: string[] = [];
  const warned: unknown[] = [];
  const catchUp = createCatchUp({
    apps: Object.values(config.apps),
    queue,
    originHead: async ({ name }) => {
      asked.push(name);
      if (name === "web") throw new Error("no way there");
      return head;
    },
    logger: { info: () => {}, warn: (facts: unknown) => void warned.push(facts) },
  });
  await catchUp.check();
  await catchUp.check();
  expect(asked).toEqual(["api", "web", "api", "web"]);
  expect(warned).toHaveLength(2);
  const made = queue.list({ limit: 100 }).deploys.filter(({ commit }) => commit.sha === head);
  expect(made).toHaveLength(1);
  expect(made[0]).toMatchObject({ app: "api", trigger: "push", ref: "refs/heads/main" });
  await until(() => queue.get(made[0]?.id ?? "")?.status === "running");
  await catchUp.stop();
});

it("asks the origin itself for the branch's head", async () => {
  const dir = tempDir("origin-head");
  const repo = createRepo(dir);
  const first = repo.commit({ "a.txt": "1" });
  const originHead = createOriginHead({
    dir: join(dir, "asked"),
    env: { PATH: process.env.PATH, HOME: dir },
  });
  const app = { name: "api", repository: repo.url, branch: "main" };
  expect(await originHead(app)).toBe(first);
  repo.branch("other/main");
  repo.commit({ "a.txt": "3" });
  repo.branch("main");
  const second = repo.commit({ "a.txt": "2" });
  expect(await originHead(app)).toBe(second);
  expect(await originHead({ ...app, branch: "none" })).toBeUndefined();
  await expect(originHead({ ...app, repository: join(dir, "nowhere.git") })).rejects.toMatchObject({
    code: "git_unreachable",
  });
});
