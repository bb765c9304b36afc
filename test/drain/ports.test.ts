import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { freePort, tempDir } from "../support/temp.js";
import { get, openRaw, startInstance } from "./instance.js";

const answer = `const answer = (req, res) => res.end("moved");
const http = require("node:http");
`;

/** Somebody who holds the port, as the serving instances do. */
const occupy = async (port: number): Promise<void> => {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, resolve);
  });
  onTestFinished(() => {
    server.close();
  });
};

describe("in preflight", () => {
  it.each([
    ["a number", "http.createServer(answer).listen(port)"],
    ["a number and a callback", `http.createServer(answer).listen(port, () => say("called"))`],
    ["a string", "http.createServer(answer).listen(String(port))"],
    ["a host", `http.createServer(answer).listen(port, "0.0.0.0", 511, () => say("called"))`],
    ["options", `http.createServer(answer).listen({ port, host: "::", backlog: 5 }, () => say("called"))`],
    ["options with a string", "http.createServer(answer).listen({ port: String(port), exclusive: true })"],
  ])("the app's port given as %s is moved", async (_, listen) => {
    const [port, aside] = [await freePort(), await freePort()];
    await occupy(port);
    const instance = await startInstance(`${answer}${listen};`, {
      port,
      env: { DROPLESS_PREFLIGHT: "1", DROPLESS_PREFLIGHT_PORT: String(aside) },
    });
    expect(await instance.message("dropless:listening")).toMatchObject({ port, actual: aside });
    const raw = await openRaw(aside);
    raw.send(get("/", "Connection: close\r\n"));
    expect(await raw.closed).toContain("moved");
    expect(instance.output()).toBe(listen.includes("called") ? "called\n" : "");
  });

  it("other ports stay, unless the serving instances hold them; each is told", async () => {
    const [port, aside, held, free] = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
    await occupy(held);
    const socket = join(tempDir("socket"), "app.sock");
    const instance = await startInstance(
      `${answer}http.createServer(answer).listen(${held}, () => {
  http.createServer(answer).listen({ port: ${free}, host: "127.0.0.1" }, () => {
    http.createServer(answer).listen(${JSON.stringify(socket)}, () => http.createServer(answer).listen(port));
  });
});`,
      { port, env: { DROPLESS_PREFLIGHT: "1", DROPLESS_PREFLIGHT_PORT: String(aside) } },
    );
    const elsewhere = instance.messages.filter(({ type }) => type === "dropless:listening-elsewhere");
    expect(elsewhere.map(({ data }) => data)).toEqual([
      { port: held, actual: expect.any(Number), pid: instance.child.pid },
      { port: free, actual: free, pid: instance.child.pid },
      { path: socket, pid: instance.child.pid },
    ]);
    expect(elsewhere[0]?.data.actual).not.toBe(held);
    const raw = await openRaw(0, socket);
    raw.send(get("/", "Connection: close\r\n"));
    expect(await raw.closed).toContain("moved");
  });

  it("it goes when the one that started it is gone", async () => {
    const instance = await startInstance(`${answer}http.createServer(answer).listen(port);`, {
      env: {
        DROPLESS_PREFLIGHT: "1",
        DROPLESS_PREFLIGHT_PORT: String(await freePort()),
        DROPLESS_DRAIN: "off",
      },
    });
    instance.child.disconnect();
    expect((await instance.ended).code).toBe(0);
  });
});

describe("serving", () => {
  it("listening elsewhere is told with its port, and nothing is moved", async () => {
    const other = await freePort();
    const instance = await startInstance(`${answer}http.createServer(answer).listen(${other});`, {
      listens: false,
    });
    expect(await instance.message("dropless:listening-elsewhere")).toMatchObject({
      port: other,
      actual: other,
    });
    expect(instance.messages.map(({ type }) => type)).not.toContain("dropless:listening");
  });

  it("answers are told: every one to the daemon, the first few and the bad ones to others", async () => {
    const instance = await startInstance(
      `require("node:http").createServer((req, res) => {
  res.statusCode = Number(req.url.slice(1).split("?")[0]);
  res.end();
}).listen(port);`,
      { env: { DROPLESS_PROBE_KEY: "key" } },
    );
    const raw = await openRaw(instance.port);
    for (let i = 0; i < 40; i++) raw.send(get("/204?secret=1"));
    raw.send(get("/503"));
    raw.send(get("/201", "X-Dropless-Probe: guessed\r\n"));
    raw.send(get("/202", "X-Dropless-Probe: key\r\n"));
    expect(await instance.message("dropless:answered", (data) => data.probe === true)).toMatchObject({
      status: 202,
      path: "/202",
    });
    const told = instance.messages
      .filter(({ type, data }) => type === "dropless:answered" && !data.probe)
      .map(({ data }) => data.path);
    expect(told).toEqual([...Array(20).fill("/204"), "/503"]);
  });

  it("an app without a port, or without a channel, is told nothing and breaks nothing", async () => {
    const port = await freePort();
    const instance = await startInstance(
      `${answer}http.createServer(answer).listen(${port}, () => {
  process.disconnect?.();
  setTimeout(() => http.get({ port: ${port}, agent: false }, (res) => { say("got " + res.statusCode); process.exit(0); }), 50);
});`,
      { listens: false, env: { DROPLESS_PORT: "" } },
    );
    expect((await instance.ended).code).toBe(0);
    expect(instance.output()).toBe("got 200\n");
    expect(instance.messages).toEqual([]);
  });
});
