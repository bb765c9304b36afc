import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { startProbe } from "../../src/adapters/probe.js";
import { appSchema } from "../../src/config/schema.js";
import { memoryLog } from "../support/log.js";

const good = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

/** Answers when the test says so; the probe of an app on its port. */
async function probed() {
  const asked: Socket[] = [];
  let served = false;
  const waiting = new Set<() => void>();
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => {
      if (served) socket.end(good);
      else asked.push(socket);
      for (const look of waiting) look();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    for (const socket of asked) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const app = appSchema.parse({ repository: "x/y", root: "/nowhere", pm2: { script: "a.js" }, port });
  const log = memoryLog();
  return {
    probe: startProbe({ ...app, name: "api", secrets: [] } as never, log),
    log,
    asked,
    serve: (is: boolean) => {
      served = is;
    },
    until: (condition: () => boolean) =>
      new Promise<void>((resolve) => {
        const look = () => condition() && waiting.delete(look) && resolve();
        waiting.add(look);
        look();
      }),
  };
}

test("what was asked before the app served anybody fails nobody, however late that is known", async () => {
  const { probe, log, asked, serve, until } = await probed();
  await until(() => asked.length >= 2);
  const before = asked.splice(0);
  serve(true);
  let answered = 0;
  await until(() => ++answered > 3);
  for (const socket of before) socket.destroy();
  const receipt = await probe.stop();
  expect(receipt.failed, log.text()).toBe(0);
  expect(receipt.probes).toBeGreaterThan(0);
});

test("what is asked after it is counted", async () => {
  const { probe, asked, serve, until } = await probed();
  serve(true);
  let answered = 0;
  await until(() => ++answered > 3);
  serve(false);
  await until(() => asked.length >= 2);
  for (const socket of asked.splice(0)) socket.resetAndDestroy();
  serve(true);
  const receipt = await probe.stop();
  expect(receipt.failed).toBeGreaterThan(0);
  expect(receipt.probes).toBeGreaterThan(receipt.failed);
});
