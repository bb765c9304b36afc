import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { freePort, tempDir } from "../support/temp.js";
import { get, openRaw, startInstance } from "./instance.js";

const held = async (code: string) => {
  const file = join(tempDir("standby"), "standby-d1-0");
  writeFileSync(file, "");
  const instance = await startInstance(
    `const http = require("node:http"); const server = http.createServer((req, res) => res.end("here"));\n${code}`,
    { env: { DROPLESS_STANDBY: file }, listens: false },
  );
  await instance.message("dropless:standing-by");
  return { instance, file };
};

it("boots and accepts only when the file is gone", async () => {
  const { instance, file } = await held(
    `server.listen(port, () => say("called")); say("booted " + server.listening);`,
  );
  await expect(openRaw(instance.port)).rejects.toThrow("ECONNREFUSED");
  expect(instance.messages.map(({ type }) => type)).toEqual(["dropless:standing-by"]);
  rmSync(file);
  await instance.message("dropless:listening");
  const raw = await openRaw(instance.port);
  raw.send(get("/", "Connection: close\r\n"));
  expect(await raw.closed).toContain("here");
  expect(instance.output()).toBe("booted false\ncalled\n");
});

it("other ports of the app do not wait", async () => {
  const other = await freePort();
  const { instance } = await held(
    `server.listen(port); http.createServer((req, res) => res.end("other")).listen(${other});`,
  );
  await instance.message("dropless:listening-elsewhere");
  const raw = await openRaw(other);
  raw.send(get("/", "Connection: close\r\n"));
  expect(await raw.closed).toContain("other");
});

it("without the file nothing waits, so that one that is started again later accepts at once", async () => {
  const file = join(tempDir("standby"), "gone");
  expect(existsSync(file)).toBe(false);
  const instance = await startInstance(`require("node:http").createServer(() => {}).listen(port);`, {
    env: { DROPLESS_STANDBY: file },
  });
  expect(instance.messages.map(({ type }) => type)).toEqual(["dropless:listening"]);
});

it.each(["SIGINT", "SIGTERM"] as const)("%s ends one that stands by at once", async (signal) => {
  const { instance } = await held("server.listen(port);");
  instance.child.kill(signal);
  expect(await instance.ended).toEqual({ code: null, signal });
});

it("the app's own handler ends it too, and what it closes never listens", async () => {
  const { instance } = await held(
    `server.listen(port); process.on("SIGINT", () => server.close((error) => say(error ? error.code : "closed")));`,
  );
  instance.child.kill("SIGINT");
  expect((await instance.ended).code).toBe(0);
  expect(instance.output()).toBe("ERR_SERVER_NOT_RUNNING\n");
});
