import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect as connectTls } from "node:tls";
import { expect, it, onTestFinished } from "vitest";
import { allAccepted, begun, get, openRaw, startInstance } from "./instance.js";

const http = `
const http = require("node:http");
const server = http.createServer((req, res) => {
  if (req.url === "/early") return res.end("no body wanted");
  if (req.url === "/proxied") return res.writeHead(200, { Connection: "keep-alive", "x-from": "behind" }).end("done");
  if (req.url === "/pairs") return res.writeHead(200, ["Connection", "keep-alive"]).end("done");
  if (req.url === "/events") {
    res.writeHead(200, { "content-type": "text/event-stream" });
    return res.write("data: 1\\n\\n");
  }
  req.resume().on("end", () => res.end("done " + req.url));
});
server.keepAliveTimeout = 65000;
server.on("upgrade", (req, socket) => {
  socket.write("HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n\\r\\n");
  socket.on("data", (data) => socket.write(data));
});
server.listen(port);
process.on("SIGINT", () => server.close(() => { say("handler"); process.exit(0); }));
`;

it("connections that stay silent are ended, whether or not they ever spoke", async () => {
  const instance = await startInstance(http, { env: { DROPLESS_DRAIN_IDLE: "2500" } });
  const mute = await openRaw(instance.port);
  const kept = await openRaw(instance.port);
  kept.send(get("/"));
  await kept.until("done /");
  const stoppedAt = performance.now();
  await instance.stop();
  await Promise.all([mute.closed, kept.closed]);
  expect((await instance.ended).code).toBe(0);
  expect(performance.now() - stoppedAt).toBeGreaterThan(700);
  expect(await instance.message("dropless:drained")).toMatchObject({ sockets: 0 });
});

it("pipelined requests are all answered, the last one with close", async () => {
  const instance = await startInstance(http);
  const raw = await openRaw(instance.port);
  raw.send(begun.begin);
  await allAccepted(instance.port);
  await instance.stop();
  raw.send(begun.finish + get("/2") + get("/3"));
  const answers = await raw.closed;
  expect(answers.match(/done \/(begun|2|3)/g)).toEqual(["done /begun", "done /2", "done /3"]);
  expect(answers.match(/connection: close/gi)).toHaveLength(1);
  expect((await instance.ended).code).toBe(0);
});

it("an app's own keep-alive header gives way", async () => {
  const instance = await startInstance(http);
  const proxied = await openRaw(instance.port);
  const pairs = await openRaw(instance.port);
  await allAccepted(instance.port);
  await instance.stop();
  proxied.send(get("/proxied"));
  pairs.send(get("/pairs"));
  for (const answer of await Promise.all([proxied.closed, pairs.closed])) {
    expect(answer).toMatch(/connection: close/i);
    expect(answer).not.toMatch(/keep-alive/i);
  }
  expect(proxied.received()).toContain("x-from: behind");
});

it("an answer given before its body has come in is not lost to a reset", async () => {
  const instance = await startInstance(http);
  const raw = await openRaw(instance.port);
  await allAccepted(instance.port);
  await instance.stop();
  const half = "x".repeat(500_000);
  raw.send(`POST /early HTTP/1.1\r\nHost: app\r\nContent-Length: 1000000\r\n\r\n${half}`);
  await raw.until("no body wanted");
  // A connection that was closed by now would answer this with a reset.
  raw.send(half);
  raw.send(get("/after"));
  const answers = await raw.closed;
  expect(answers).toContain("done /after");
  expect(answers.match(/connection: close/gi)).toHaveLength(2);
  expect((await instance.ended).code).toBe(0);
});

it("what never ends by itself is ended at the limit, and then the app's handler runs", async () => {
  const instance = await startInstance(http, {
    env: { DROPLESS_DRAIN_TIMEOUT: "5000", DROPLESS_DRAIN_IDLE: "200" },
  });
  const events = await openRaw(instance.port);
  events.send(get("/events"));
  await events.until("data: 1");
  const websocket = await openRaw(instance.port);
  websocket.send(get("/", "Connection: Upgrade\r\nUpgrade: websocket\r\n"));
  await websocket.until("101");
  await instance.stop();
  // Far longer than the silence that ends an idle connection: a WebSocket may be silent.
  await new Promise((resolve) => setTimeout(resolve, 1000));
  websocket.send("ping");
  await websocket.until("ping");
  await Promise.all([events.closed, websocket.closed]);
  expect((await instance.ended).code).toBe(0);
  expect(instance.output()).toBe("handler\n");
  expect(await instance.message("dropless:drained")).toMatchObject({ sockets: 2 });
});

it("plain TCP connections last until they end, or the limit", async () => {
  const instance = await startInstance(
    `require("node:net").createServer((socket) => socket.pipe(socket)).listen(port);`,
    { env: { DROPLESS_DRAIN_IDLE: "200" } },
  );
  const raw = await openRaw(instance.port);
  raw.send("one");
  await raw.until("one");
  await instance.stop();
  await new Promise((resolve) => setTimeout(resolve, 1000));
  raw.send("two");
  await raw.until("onetwo");
  raw.destroy();
  expect((await instance.ended).signal).toBe("SIGINT");
});

it("TLS connections are drained like plain ones", async () => {
  // A shared key instead of a certificate: nothing on the machine is needed to make one.
  const tls = `ciphers: "PSK", minVersion: "TLSv1.2", maxVersion: "TLSv1.2"`;
  const instance = await startInstance(
    `require("node:https")
  .createServer({ ${tls}, pskIdentityHint: "test", pskCallback: () => Buffer.alloc(16, 1) }, (req, res) =>
    req.resume().on("end", () => res.end("done " + req.url)))
  .listen(port);`,
    // Long enough for whatever is done until it drains, on any machine.
    { env: { DROPLESS_DRAIN_IDLE: "4000" } },
  );
  const open = async () => {
    const socket = connectTls({
      port: instance.port,
      host: "127.0.0.1",
      ciphers: "PSK",
      maxVersion: "TLSv1.2",
      checkServerIdentity: () => undefined,
      pskCallback: () => ({ psk: Buffer.alloc(16, 1), identity: "test" }),
    });
    onTestFinished(() => {
      socket.destroy();
    });
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk;
    });
    await once(socket, "secureConnect");
    return { socket, ended: once(socket, "end").then(() => text), received: () => text };
  };
  const busy = await open();
  busy.socket.write(begun.begin);
  const kept = await open();
  kept.socket.write(get("/1"));
  await once(kept.socket, "data");
  const silent = await open();
  await instance.stop();
  kept.socket.write(get("/2"));
  expect(await kept.ended).toMatch(/connection: close[\s\S]*done \/2/i);
  expect(await silent.ended).toBe("");
  // It has been silent for as long, but a request is in flight on it.
  busy.socket.write(begun.finish);
  expect(await busy.ended).toMatch(/connection: close[\s\S]*done \/begun/i);
  expect((await instance.ended).signal).toBe("SIGINT");
  expect(await instance.message("dropless:drained")).toMatchObject({ sockets: 0 });
});

it("HTTP/2 sessions finish their streams", async () => {
  const instance = await startInstance(`require("node:http2")
  .createServer((req, res) => req.resume().on("end", () => res.end("done " + req.url))).listen(port);`);
  const session = connectHttp2(`http://127.0.0.1:${instance.port}`);
  onTestFinished(() => session.destroy());
  const goneAway = once(session, "goaway");
  const stream = session.request({ ":path": "/begun", ":method": "POST" });
  stream.write("a");
  await once(session, "remoteSettings");
  const ping = new Promise((resolve) => session.ping(resolve));
  await ping;
  await instance.stop();
  await goneAway;
  stream.end("bc");
  let text = "";
  for await (const chunk of stream) text += chunk;
  expect(text).toBe("done /begun");
  expect((await instance.ended).signal).toBe("SIGINT");
});
