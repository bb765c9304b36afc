import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { tempDir } from "../../support/temp.js";

test("a store may be closed at any moment of a checkpoint", () => {
  const store = pathToFileURL(join(import.meta.dirname, "../../../dist/adapters/sqlite/store.js")).href;
  // The thread begins with the fiftieth commit, loads SQLite for some 30 ms and then needs some for its checkpoint.
  const code = `
    import { join } from "node:path";
    import { setTimeout as sleep } from "node:timers/promises";
    const { openStore } = await import(${JSON.stringify(store)});
    for (let n = 0; n < 60; n++) {
      const store = openStore(join(${JSON.stringify(tempDir("checkpoint"))}, String(n)));
      const commits = 50 * (1 + (n % 4)) + (n % 7);
      for (let i = 0; i < commits; i++) store.transaction(() => store.setApp("api", {}));
      if (n % 3) await sleep(n % 45);
      store.close();
    }`;
  const child = spawnSync(process.execPath, ["--input-type=module"], { input: code, timeout: 100_000 });
  expect([child.signal, child.status], String(child.stderr)).toEqual([null, 0]);
}, 120_000);
