import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { Fault } from "../../src/domain/fault.js";
import { createBodyReader } from "../../src/http/body.js";

const mib = 1024 * 1024;

/** Answers with the length of the body, or the code of the fault. */
async function reader(most: number) {
  const withBody = createBodyReader(most);
  const server = createServer((request, response) => {
    withBody(request, async (raw) => String(raw.length)).then(
      (length) => response.end(length),
      (error: unknown) =>
        response
          .setHeader("content-length", 20)
          .end((error instanceof Fault ? error.code : "a bug").padEnd(20)),
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  /** Sends `sent` of `promised` bytes and then nothing more. Resolves when the request has begun, to its answer. */
  const begin = async (sent: number, promised: number) => {
    const socket = connect(port, "127.0.0.1").setNoDelay();
    onTestFinished(() => void socket.destroy());
    socket.on("error", () => {});
    let text = "";
    const answer = new Promise<string>((resolve) =>
      socket.on("data", (data) => {
        text += data;
        const said = /\r\n\r\n([a-z_]+) /.exec(text)?.[1];
        if (said) resolve(said);
      }),
    );
    const begun = once(server, "request");
    socket.write(`POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${promised}\r\n\r\n`);
    socket.write(Buffer.alloc(sent, 97));
    await begun;
    return { answer };
  };
  const post = (length: number) =>
    fetch(`http://127.0.0.1:${port}`, { method: "POST", body: Buffer.alloc(length, 97) })
      .then((response) => response.text())
      .then((text) => text.trim());
  return { begin, post };
}

it("gives up the body that has been coming longest when there is no room, so that others need not wait", async () => {
  const { begin, post } = await reader(4 * mib);
  const slow = [];
  for (let n = 0; n < 3; n++) slow.push(await begin(mib, 2 * mib));
  expect(await post(3 * mib)).toBe(String(3 * mib));
  expect(await slow[0]?.answer).toBe("timeout");
  // What was held is free again.
  for (let n = 0; n < 5; n++) expect(await post(4 * mib - 100_000)).toBe(String(4 * mib - 100_000));
  expect(await post(2 * mib)).toBe(String(2 * mib));
  for (const { answer } of slow) expect(await answer).toBe("timeout");
});

it("takes none that is larger than 25 MB, announced or not", async () => {
  const { begin, post } = await reader(128 * mib);
  expect(await (await begin(10, 26 * mib)).answer).toBe("too_large");
  expect(await post(25 * mib)).toBe(String(25 * mib));
  expect(await post(25 * mib + 1)).toBe("too_large");
});
