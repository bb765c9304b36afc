import { describe, expect, it } from "vitest";
import { goodKinds, linkModules, writeApp } from "../support/apps.js";
import { freePort, tempDir } from "../support/temp.js";
import { allAccepted, begun, get, openRaw, startInstance } from "./instance.js";

const http = `
const http = require("node:http");
const server = http.createServer((req, res) => {
  req.resume().on("end", () => res.end("done " + req.url));
});
server.listen(port);
`;

const usualHandler = `
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => {
  say("handler");
  server.close((error) => { say("closed " + error); process.exit(0); });
});
process.on("message", (message) => { if (message === "shutdown") process.emit("SIGINT", "SIGINT"); });
`;

describe.each(["SIGINT", "SIGTERM", "shutdown"] as const)("stopped by %s", (how) => {
  it.each(goodKinds)("%s answers what is in flight and what still arrives, then goes", async (kind) => {
    const dir = tempDir("drain");
    linkModules(dir);
    const port = await freePort();
    const script = writeApp(dir, { kind, release: "r1", port });
    const instance = await startInstance("", {
      script,
      port,
      env: { shutdown_with_message: String(how === "shutdown") },
    });
    const busy = await openRaw(port);
    const kept = await openRaw(port);
    kept.send(get("/"));
    await kept.until("ok r1 GET -");
    busy.send(begun.begin);
    await instance.stop(how);

    // On the wire when the drain began: an idle connection that was closed at once would reset it.
    kept.send("POST / HTTP/1.1\r\nHost: app\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nabc");
    const answers = await kept.closed;
    expect(answers.match(/HTTP\/1\.1 200/g)).toHaveLength(2);
    expect(answers).toMatch(/ok r1 POST ba7816bf8f01/);
    expect(answers).toMatch(/connection: close/i);
    busy.send(begun.finish);
    const late = await busy.closed;
    expect(late).toMatch(/HTTP\/1\.1 200/);
    expect(late).toMatch(/ok r1 POST ba7816bf8f01/);
    expect(late).toMatch(/connection: close/i);

    const { code, signal } = await instance.ended;
    const diesBySignal = kind === "http" && how !== "shutdown";
    expect(diesBySignal ? signal : code).toBe(diesBySignal ? how : 0);
    expect(instance.messages.at(-1)).toMatchObject({ type: "dropless:drained", data: { sockets: 0 } });
  });
});

describe("the app's own handler", () => {
  it("comes after the drain, and closes a server that just calls back", async () => {
    const instance = await startInstance(`${http}${usualHandler}
server.on("close", () => say("close event"));`);
    const busy = await openRaw(instance.port);
    busy.send(begun.begin);
    const open = await openRaw(instance.port);
    open.send(get("/"));
    await open.until("done /");
    await instance.stop();
    busy.send(begun.finish);
    expect(await busy.closed).toContain("done /begun");
    expect(instance.output()).toBe("");
    open.destroy();
    expect((await instance.ended).code).toBe(0);
    expect(instance.output().trim().split("\n")).toEqual(["handler", "close event", "closed undefined"]);
  });

  it("has its pool's end awaited, however long it takes", async () => {
    const instance = await startInstance(`${http}
process.on("SIGTERM", async () => {
  await new Promise((resolve) => server.close(resolve));
  await new Promise((resolve) => setTimeout(resolve, 1500));
  say("pool ended");
  process.exit(7);
});`);
    await instance.stop("SIGTERM");
    expect((await instance.ended).code).toBe(7);
    expect(instance.output()).toContain("pool ended");
  });

  it("that throws ends the process as it would have, after the drain", async () => {
    const instance = await startInstance(`${http}
process.on("SIGINT", () => { throw new Error("no pool"); });`);
    const busy = await openRaw(instance.port);
    busy.send(begun.begin);
    const kept = await openRaw(instance.port);
    kept.send(get("/"));
    await kept.until("done /");
    await instance.stop();
    kept.destroy();
    busy.send(begun.finish);
    expect(await busy.closed).toContain("done /begun");
    expect((await instance.ended).code).toBe(1);
    expect(instance.output()).toContain("no pool");
  });

  it("sees itself as the only listener, as libraries count them", async () => {
    const instance = await startInstance(`${http}
const own = () => { say("listeners " + process.listeners("SIGINT").length); process.exit(0); };
process.on("SIGINT", own);`);
    await instance.stop();
    await instance.ended;
    expect(instance.output()).toBe("listeners 1\n");
  });

  it("cannot undo the drain by removing all listeners", async () => {
    const instance = await startInstance(`${http}
process.removeAllListeners("SIGINT");
process.on("SIGINT", () => process.exit(5));
process.removeAllListeners("SIGINT");`);
    const busy = await openRaw(instance.port);
    busy.send(begun.begin);
    await openRaw(instance.port).then(async (other) => {
      other.send(get("/"));
      await other.until("done /");
      other.destroy();
    });
    await instance.stop();
    busy.send(begun.finish);
    expect(await busy.closed).toContain("done /begun");
    expect((await instance.ended).signal).toBe("SIGINT");
  });
});

describe("an app", () => {
  it("that exits by itself during the drain may", async () => {
    const instance = await startInstance(`${http}
process.on("message", (message) => { if (message === "leave") process.exit(9); });`);
    const busy = await openRaw(instance.port);
    busy.send(begun.begin);
    await allAccepted(instance.port);
    await instance.stop();
    instance.child.send("leave");
    expect((await instance.ended).code).toBe(9);
  });

  it("that closes its server during the drain cuts nothing", async () => {
    const instance = await startInstance(`${http}${usualHandler}
process.on("message", (message) => { if (message === "close") server.close(() => say("its own close")); });`);
    const kept = await openRaw(instance.port);
    kept.send(get("/1"));
    await kept.until("done /1");
    await instance.stop();
    instance.child.send("close");
    await instance.message("dropless:answered");
    kept.send(get("/2"));
    expect(await kept.closed).toContain("done /2");
    expect((await instance.ended).code).toBe(0);
    expect(instance.output()).toContain("its own close");
  });

  it("without a server stops at once", async () => {
    const instance = await startInstance(
      `process.on("SIGTERM", () => { say("bye"); process.exit(3); }); setInterval(() => {}, 1000); say("up");`,
      { listens: false },
    );
    await new Promise<void>((resolve) => instance.child.stdout?.once("data", () => resolve()));
    instance.child.kill("SIGTERM");
    expect((await instance.ended).code).toBe(3);
    expect(instance.output()).toBe("up\nbye\n");
  });

  it("as an ES module with top-level await is drained too", async () => {
    const instance = await startInstance(
      `import { createServer } from "node:http";
await new Promise((resolve) => setTimeout(resolve, 50));
createServer((req, res) => req.resume().on("end", () => res.end("esm done"))).listen(port);`,
      { type: "mjs" },
    );
    const busy = await openRaw(instance.port);
    busy.send(begun.begin);
    await allAccepted(instance.port);
    await instance.stop();
    busy.send(begun.finish);
    expect(await busy.closed).toContain("esm done");
  });

  it("that drains by itself is left alone, but its answers are told", async () => {
    const instance = await startInstance(http, { env: { DROPLESS_DRAIN: "off" } });
    const kept = await openRaw(instance.port);
    kept.send(get("/"));
    await instance.message("dropless:answered");
    instance.child.kill("SIGINT");
    expect((await instance.ended).signal).toBe("SIGINT");
    expect(instance.messages.map(({ type }) => type)).not.toContain("dropless:draining");
  });

  it("keeps the drain from its own child processes", async () => {
    const instance = await startInstance(`${http}
const file = __filename.replace("app.cjs", "child.cjs");
require("node:fs").writeFileSync(file, \`
  require("node:http").createServer((req, res) => res.end()).listen(0, () => process.send("up"));
\`);
const child = require("node:child_process").fork(file);
child.on("message", (message) => {
  say("from the child: " + JSON.stringify(message));
  child.kill("SIGTERM");
});
child.on("exit", (code, signal) => say("child ended by " + signal));`);
    await expect
      .poll(() => instance.output(), { timeout: 60_000 })
      .toBe('from the child: "up"\nchild ended by SIGTERM\n');
    expect(instance.messages.map(({ type }) => type)).toEqual(["dropless:listening"]);
  });
});
