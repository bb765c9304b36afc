import { createServer as createPlain } from "node:http";
import type { AddressInfo } from "node:net";
import { connect, createServer as createTcp, type Socket } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { connectLocally, createClient } from "../../src/http/client.js";
import type { DeployEvent } from "../../src/http/wire.js";
import { push, shaOf } from "../support/payloads.js";
import { freePort } from "../support/temp.js";
import { bench, operators } from "./bench.js";

it("asks everything the command line needs", async () => {
  const { client, begin, live, logs } = await bench();
  const admin = await client();
  const asked = await admin.deploy("api", "v1.0.0");
  expect(asked).toMatchObject({ app: "api", status: "queued" });
  expect((await admin.cancel(asked.id)).status).toBe("canceled");
  begin();
  await live("api", shaOf(1));
  const two = await live("api", shaOf(2));
  expect((await admin.list({ app: "api", limit: 1 })).deploys.map(({ id }) => id)).toEqual([two.id]);
  expect((await admin.get(two.id)).status).toBe("succeeded");
  expect((await admin.hold("api", "audit")).hold?.reason).toBe("audit");
  await expect(admin.deploy("api")).rejects.toMatchObject({
    code: "held",
    message: expect.stringContaining("audit"),
  });
  expect((await admin.resume("api")).hold).toBeNull();
  expect((await admin.apps()).map(({ name }) => name)).toEqual(["api", "web", "twin"]);
  expect((await admin.app("api")).releases).toHaveLength(2);
  expect(await admin.rollback("api")).toMatchObject({ app: "api", status: "queued" });
  const writer = logs.open(two.id);
  writer.say("a line");
  await writer.flush();
  let text = "";
  for await (const piece of admin.logs(two.id)) text += piece;
  expect(text).toContain("a line\n");
  expect((await admin.health()).status).toBe("ok");
  const reader = await client(operators.reader);
  await expect(reader.deploy("api")).rejects.toMatchObject({ code: "forbidden", hint: expect.any(String) });
});

it("says no_daemon when nothing answers, or something else does", async () => {
  const nobody = createClient({ url: `http://127.0.0.1:${await freePort()}` });
  await expect(nobody.list()).rejects.toMatchObject({ code: "no_daemon" });
  await expect(nobody.followEvents("01").next()).rejects.toMatchObject({ code: "no_daemon" });
  const other = createPlain((_request, response) => response.end("<h1>It works!</h1>"));
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void other.close());
  const wrong = createClient({ url: `http://127.0.0.1:${(other.address() as AddressInfo).port}` });
  await expect(wrong.list()).rejects.toMatchObject({ code: "no_daemon" });
});

it("connects to the daemon of a configuration with its local token", async () => {
  const { config, listen } = await bench();
  const port = Number(new URL(await listen()).port);
  const local = connectLocally({ ...config, server: { ...config.server, host: "0.0.0.0", port } });
  expect(await local.apps()).toHaveLength(3);
  expect(() => connectLocally({ ...config, dataDir: `${config.dataDir}/none` })).toThrow(
    expect.objectContaining({ code: "no_daemon" }),
  );
});

it("comes back after every lost connection, and misses and repeats nothing", async () => {
  const { deliver, begin, run, logs, listen } = await bench();
  const target = Number(new URL(await listen()).port);
  // A way to the daemon that breaks after a few hundred bytes each time.
  const open = new Set<Socket>();
  let connections = 0;
  const flaky = createTcp((from) => {
    connections++;
    const to = connect(target, "127.0.0.1");
    open.add(from).add(to);
    let budget = 4000;
    from.pipe(to);
    to.on("data", (chunk) => {
      const part = chunk.subarray(0, budget);
      budget -= part.length;
      if (part.length > 0) from.write(part, () => budget <= 0 && from.destroy());
    });
    for (const [one, other] of [
      [from, to],
      [to, from],
    ] as const) {
      one.on("error", () => {});
      one.on("close", () => other.destroy());
    }
    to.on("end", () => from.end());
  });
  await new Promise<void>((resolve) => flaky.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    for (const socket of open) socket.destroy();
    flaky.close();
  });
  begin();
  const { id, token } = (await deliver(push(), "push")).body;
  const { end } = await run(1);
  const writer = logs.open(id);
  for (let i = 1; i <= 150; i++) writer.say(`line ${i}`);
  const client = createClient({ url: `http://127.0.0.1:${(flaky.address() as AddressInfo).port}`, token });
  const events: DeployEvent[] = [];
  for await (const event of client.followEvents(id)) {
    events.push(event);
    if (event.event === "log" && event.data.line === 150) end({ status: "succeeded" });
  }
  expect(connections).toBeGreaterThan(2);
  const lines = events.flatMap((event) => (event.event === "log" ? [event.data.line] : []));
  expect(lines).toEqual(Array.from({ length: 150 }, (_, i) => i + 1));
  expect(events.at(-1)?.event).toBe("end");
});
