import { describe, expect, it } from "vitest";
import { groupOf } from "../../src/cli/check/control-group.js";
import type { CheckContext } from "../../src/cli/check/finding.js";
import { checkInstances } from "../../src/cli/check/instances.js";
import type { AppConfig, Config } from "../../src/config/schema.js";
import { appSchema, configSchema } from "../../src/config/schema.js";
import type { Pm2Process } from "../../src/rollout/pm2.js";

const app = (more: object = {}): AppConfig =>
  ({
    ...appSchema.parse({
      repository: "a/b",
      root: "/srv/api",
      pm2: { script: "s.js", instances: 2 },
      port: 3000,
      ...more,
    }),
    name: "api",
    secrets: [],
  }) as AppConfig;

const process = (more: Partial<Pm2Process> = {}): Pm2Process => ({
  pmId: 0,
  name: "api",
  pid: 10,
  status: "online",
  restarts: 0,
  startedAt: Date.now() - 3_600_000,
  memoryBytes: 1,
  mode: "cluster",
  cwd: "/srv/api/releases/x",
  script: "/srv/api/releases/x/s.js",
  number: 0,
  killTimeout: 21_600,
  marks: { app: "api", release: "x", deploy: "d" },
  raw: {},
  ...more,
});

async function findings(of: AppConfig, ...processes: Pm2Process[]) {
  const config = { ...configSchema.parse({ apps: {} }), apps: { api: of } } as unknown as Config;
  const context: CheckContext = { config, env: {}, uid: 1000, processes: async () => processes };
  return (await checkInstances(context)).map(({ level, message, hint }) => ({ level, message, hint }));
}

const byHand = { marks: {}, cwd: "/home/app/api", script: "/home/app/api/s.js" };

describe("the doctor on instances", () => {
  it("has nothing to say about what dropless runs", async () => {
    expect(await findings(app(), process(), process({ pmId: 1, number: 1 }))).toEqual([
      { level: "ok", message: "2 instances online", hint: undefined },
    ]);
  });

  it.each([
    ["started by hand", byHand, {}, "note", /1 instance started by hand \(from \/home\/app\/api\)/],
    ["fork mode with a port", { mode: "fork" }, {}, "warning", /fork mode/],
    ["errored", { status: "errored" }, {}, "warning", /is errored \(id 0\)/],
    [
      "a restart loop",
      { restarts: 12, startedAt: Date.now() - 2000 },
      {},
      "warning",
      /again and again: 12 restarts/,
    ],
    ["watched files", { raw: { watch: true } }, {}, "warning", /watches its files/],
    ["cron_restart", { raw: { cron_restart: "0 3 * * *" } }, {}, "note", /cron_restart/],
    ["a `current` link", { ...byHand, script: "/srv/api/current/s.js" }, {}, "warning", /`current` link/],
    [
      "a short kill_timeout without drain",
      { killTimeout: 1600 },
      { drain: false },
      "warning",
      /drain is off, .* 1.6s/,
    ],
    [
      "npm as the interpreter",
      { mode: "fork", raw: { exec_interpreter: "bash" } },
      {},
      "warning",
      /by bash and not by node/,
    ],
  ] as const)("sees %s", async (_name, one, config, level, message) => {
    const found = await findings(app(config), process(one));
    expect(found).toContainEqual({
      level,
      message: expect.stringMatching(message),
      hint: expect.any(String),
    });
  });

  it("sees two releases at once", async () => {
    const found = await findings(app(), process(), process({ pmId: 1, marks: { app: "api", release: "y" } }));
    expect(found.map(({ message }) => message)).toContain("instances of 2 releases run at once");
  });

  it("sees before the first deploy that the configuration means fork mode", async () => {
    expect(await findings(app({ pm2: { script: "s.js" } }))).toMatchObject([
      { level: "warning", message: /fork mode/ },
    ]);
    expect(await findings(app())).toEqual([]);
    expect(await findings(app({ pm2: { script: "s.js" }, port: undefined }))).toEqual([]);
  });

  it("leaves other people's processes alone", async () => {
    const theirs = process({ name: "other", marks: {}, mode: "fork", status: "errored" });
    const ours = process({ name: "api", marks: { app: "something-else" }, status: "errored" });
    expect(await findings(app(), theirs, ours)).toEqual([]);
  });
});

describe("control groups", () => {
  it.each([
    ["0::/system.slice/dropless.service\n", "/system.slice/dropless.service"],
    ["12:pids:/x\n1:name=systemd:/user.slice/session-3.scope\n", "/user.slice/session-3.scope"],
    ["0::/\n", undefined],
    ["", undefined],
  ])("%j is %s", (text, group) => expect(groupOf(text)).toBe(group));
});
