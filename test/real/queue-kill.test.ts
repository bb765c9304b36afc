import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { openStore } from "../../src/adapters/sqlite/store.js";
import { tempDir } from "../support/temp.js";

const dist = (path: string): string =>
  JSON.stringify(pathToFileURL(new URL(`../../dist/${path}`, import.meta.url).pathname).href);

/** Delivers as fast as it can, and says each id only after it was acknowledged. */
const code = (dir: string, round: number): string => `
  import { openStore } from ${dist("adapters/sqlite/store.js")};
  import { createQueue } from ${dist("queue/queue.js")};
  import { createIds } from ${dist("domain/ids.js")};
  const log = { say() {}, status() {}, step() {} };
  const queue = createQueue({
    store: openStore(${JSON.stringify(dir)}),
    logs: { open: () => log, close: async () => {} },
    ids: createIds(),
    isApp: () => true,
    run: (recorder) => new Promise((end) => setImmediate(() => {
      recorder.step("fetch", "running");
      end({ status: "succeeded" });
    })),
  });
  queue.start();
  for (let n = 0; ; n++) {
    const id = "${round}-" + n;
    const commit = { sha: String(n).padStart(40, "0"), message: "", author: "" };
    const requests = ["api", "web"].map((app) => ({ app, trigger: "push", ref: "refs/heads/main", commit }));
    for (const { deploy } of await queue.deliverSoon({ id, bodySha256: id }, requests)) console.log(deploy.id);
  }`;

test("nothing acknowledged is lost: kill -9 in the middle of a burst, again and again", async () => {
  const dir = tempDir("kill");
  const acknowledged: string[] = [];
  for (let round = 0; round < 8; round++) {
    const child = spawn(process.execPath, ["--input-type=module", "-e", code(dir, round)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const exited = once(child, "exit");
    onTestFinished(async () => {
      child.kill("SIGKILL");
      await exited;
    });
    let lines = 0;
    for await (const line of createInterface({ input: child.stdout })) {
      if (line.length === 26) acknowledged.push(line);
      if (++lines === 20 + round * 37) child.kill("SIGKILL");
    }
    await exited;
  }
  const store = openStore(dir);
  onTestFinished(() => store.close());
  expect(acknowledged.length).toBeGreaterThan(8 * 20);
  for (const id of acknowledged) expect(store.get(id)).toBeDefined();
  // Each one is what it was superseded by in the end: it ran, runs, or waits.
  for (const id of acknowledged) expect(store.lastHeir(id)?.status).toMatch(/queued|running|succeeded/);
});
