import { expect, it } from "vitest";
import { Fault } from "../../src/domain/fault.js";
import { appSchema } from "../../src/http/wire.js";
import { shaOf } from "../support/payloads.js";
import { bench, instance, operators } from "./bench.js";

it("shows apps with what runs, what is live and what one can go back to", async () => {
  const { inject, begin, live } = await bench();
  begin();
  const one = await live("api", shaOf(1));
  const two = await live("api", shaOf(2));
  const { body } = await inject("GET", "/apps/api", { token: operators.reader });
  expect(appSchema.strict().parse(body)).toEqual(body);
  expect(body).toMatchObject({
    name: "api",
    branch: "main",
    live: { release: two.release, commit: shaOf(2), deploy: two.id },
    hold: null,
    instances: [
      { pid: instance.pid, status: "online", restarts: 0, uptimeMs: 1000, memoryBytes: 50_000_000 },
    ],
    releases: [
      { release: two.release, deploy: two.id, live: true, commit: { sha: shaOf(2) } },
      { release: one.release, deploy: one.id, live: false },
    ],
  });
  const { apps } = (await inject("GET", "/apps")).body;
  expect(apps.map((app: { name: string }) => app.name)).toEqual(["api", "web", "twin"]);
  expect(apps[2].repository).toBe("https://github.com/acme/api");
  for (const name of ["nothing", "constructor", "__proto__"])
    expect(await inject("GET", `/apps/${name}`), name).toMatchObject({
      status: 404,
      body: { code: "app_unknown" },
    });
});

it("lists instances by name and number, in whatever order PM2 has started them", async () => {
  const { inject, world } = await bench();
  const numbered = (name: string, number: number, pmId: number) => ({ ...instance, name, number, pmId });
  world.instances = async () => [
    numbered("web", 1, 7),
    numbered("web", 10, 8),
    numbered("web", 2, 9),
    numbered("web", 0, 12),
    numbered("jobs", 0, 11),
  ];
  const { instances } = (await inject("GET", "/apps/api")).body;
  const shown = instances.map(({ name, number }: { name: string; number: number }) => `${name} ${number}`);
  expect(shown).toEqual(["jobs 0", "web 0", "web 1", "web 2", "web 10"]);
});

it("answers also when PM2 does not", async () => {
  const { inject, world } = await bench();
  world.instances = async () => {
    throw new Fault("pm2_unreachable", "PM2 does not answer.", "Start it.");
  };
  expect((await inject("GET", "/apps/api")).body).toMatchObject({
    instances: [],
    pm2Error: { code: "pm2_unreachable", hint: "Start it." },
  });
});

it("rolls back to the release before, further with each call, or to the one that is named", async () => {
  const { inject, begin, live, queue, run, runs, until } = await bench();
  begin();
  const [a, b, c] = [await live("api", shaOf(1)), await live("api", shaOf(2)), await live("api", shaOf(3))];
  const back = async (body?: unknown) => {
    const before = runs.length;
    const answer = await inject("POST", "/apps/api/rollback", { body, token: operators.deployer });
    if (answer.status !== 202) return answer.body.code;
    const { recorder, end } = await run(before + 1);
    const { ref: release, id, trigger, commit } = recorder.deploy;
    expect(trigger).toBe("rollback");
    recorder.release(release);
    recorder.live({ release, sha: commit.sha, deploy: id, since: new Date().toISOString() });
    end({ status: "succeeded" });
    await until(() => queue.get(id)?.status === "succeeded");
    return release;
  };
  expect(await back()).toBe(b.release);
  expect(await back({})).toBe(a.release);
  expect(await back()).toBe("nothing_to_roll_back_to");
  expect((await inject("POST", "/apps/api/rollback")).body.hint).toBe(
    `Name one of the others: ${c.release}, ${b.release}.`,
  );
  expect(await back({ release: c.release })).toBe(c.release);
  expect(await back()).toBe(b.release);
  expect(await back({ release: "20200101T000000-abcdef0" })).toBe("release_unknown");
  expect(await back({ release: "../../etc" })).toBe("release_unknown");
  expect(await back({ to: b.release })).toBe("invalid_request");
});

it("never offers a release whose folder is gone", async () => {
  const { inject, begin, live, world } = await bench();
  begin();
  await live("api", shaOf(1));
  await live("api", shaOf(2));
  world.onDisk.shift();
  expect((await inject("POST", "/apps/api/rollback")).body.code).toBe("nothing_to_roll_back_to");
  expect((await inject("POST", "/apps/web/rollback")).body.code).toBe("nothing_to_roll_back_to");
});

it("holds an app and lets it go again", async () => {
  const { inject, queue } = await bench();
  const hold = (body: unknown) => inject("PUT", "/apps/api/hold", { body, token: operators.deployer });
  const held = await hold({ reason: "audit\u001b[2J" });
  expect(held).toMatchObject({ status: 200, body: { hold: { reason: "audit [2J", by: "deployer" } } });
  expect(queue.app("api").hold?.reason).toBe("audit [2J");
  expect((await hold({ reason: "" })).status).toBe(400);
  expect((await hold(undefined)).status).toBe(400);
  expect(await inject("DELETE", "/apps/api/hold")).toMatchObject({ status: 200, body: { hold: null } });
  expect(queue.app("api").hold).toBeUndefined();
  expect((await inject("PUT", "/apps/nothing/hold", { body: { reason: "x" } })).status).toBe(404);
});
