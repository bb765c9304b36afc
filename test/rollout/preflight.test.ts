import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import type { AppConfig } from "../../src/config/schema.js";
import type { Booter } from "../../src/rollout/boot.js";
import type { Wanted } from "../../src/rollout/definition.js";
import { preflight } from "../../src/rollout/preflight.js";
import type { Target } from "../../src/rollout/types.js";
import { memoryLog } from "../support/log.js";
import { freePort } from "../support/temp.js";

/** Boots nothing; on the private port there is what the test puts there. */
function go(port: number) {
  const booter: Booter = {
    boot: () => async () => {},
    sweep: async () => {},
    freePort: async () => port,
  };
  const wanted = {
    name: "api",
    count: 1,
    command: ["node"],
    aside: {},
    account: {},
    spec: () => ({ definition: { cwd: "/" }, env: {}, instanceVar: "NODE_APP_INSTANCE", number: 0 }),
  } as unknown as Wanted;
  const health = { path: "/healthz", timeout: 60_000, successes: 1, ready: 3_500, soak: 0, watch: 0 };
  const app = { port: 3000, health } as AppConfig;
  const log = memoryLog();
  const done = preflight(booter, wanted, { app, deploy: "d1" } as Target, {
    log,
    signal: new AbortController().signal,
  });
  return { log, done };
}

test("what is not healthy after some seconds is told once, with what it answers and how long it is given", async () => {
  const server = createServer((_, response) => response.writeHead(503).end()).listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await new Promise((resolve) => server.once("listening", resolve));
  const answering = go((server.address() as AddressInfo).port);
  const silent = go(await freePort());
  await Promise.all([
    expect(answering.done).rejects.toMatchObject({ code: "unhealthy" }),
    expect(silent.done).rejects.toMatchObject({ code: "never_listened" }),
  ]);
  expect(answering.log.text()).toBe("api is not healthy yet: GET /healthz answered 503; it is given 3.5 s\n");
  expect(silent.log.text()).toBe("api does not listen yet; it is given 3.5 s\n");
});
