import { expect, it } from "vitest";
import type { AppConfig } from "../../src/config/schema.js";
import type { Pm2, Pm2Process } from "../../src/rollout/pm2.js";
import { createRollout } from "../../src/rollout/rollout.js";

it("looks at PM2 once for all that ask at the same moment, and again for who asks later", async () => {
  const runs: Pm2Process[] = [];
  let looks = 0;
  const pm2 = {
    async list() {
      looks++;
      return [...runs];
    },
  } as unknown as Pm2;
  const rollout = createRollout({ pm2, stateDir: "/nowhere" } as unknown as Parameters<
    typeof createRollout
  >[0]);
  const app = (name: string) => ({ name, pm2: { script: "server.js" } }) as unknown as AppConfig;
  const names = async () =>
    (await Promise.all(["a", "b", "c"].map((name) => rollout.instances(app(name))))).map((list) =>
      list.map(({ pmId }) => pmId),
    );
  const start = (pmId: number, name: string) => runs.push({ pmId, name, marks: { app: name } } as Pm2Process);
  start(1, "a");
  start(2, "c");
  expect(await names()).toEqual([[1], [], [2]]);
  expect(looks).toBe(1);
  start(3, "b");
  expect(await names()).toEqual([[1], [3], [2]]);
  expect(looks).toBe(2);
});
