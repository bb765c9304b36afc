/**
 * Sends deliveries over a few kept connections, in a process of its own, and says how long each answer took. Everything that is sent
 * is made beforehand and goes out by bare sockets, so that this process costs the machine little beside what it measures.
 *
 * Told by one message: `{port, path, secret, count, connections, bytes, rate?, wrong?, fullName, shas?, keepBodies?}`.
 * Without `rate` each connection sends its next delivery when the last one was answered; with `rate` so many a second
 * are sent, evenly, and an answer's time counts from when its delivery was due. Answers with
 * `{seconds, statuses, latencies, ends, faults, bodies}`; times in milliseconds, in the order of being answered; `ends` count
 * from when the first was sent. `fullName` and `shas` (of each name) say what is pushed; several names take turns.
 */
import { createHmac, randomBytes } from "node:crypto";
import { connect } from "node:net";

const pushPayload = (fullName, before, sha, bytes) => {
  const [owner, name] = fullName.split("/");
  const api = `https://api.github.com/repos/${fullName}`;
  const payload = {
    ref: "refs/heads/main",
    before,
    after: sha,
    repository: {
      id: 35129377,
      name,
      full_name: fullName,
      private: true,
      owner: { name: owner, login: owner, id: 6752317 },
      html_url: `https://github.com/${fullName}`,
      ...Object.fromEntries(
        ["keys", "hooks", "issues", "labels", "pulls", "releases"].map((one) => [
          `${one}_url`,
          `${api}/${one}`,
        ]),
      ),
    },
    pusher: { name: owner, email: `${owner}@example.com` },
    created: false,
    deleted: false,
    forced: false,
    compare: `https://github.com/${fullName}/compare/one...other`,
    commits: [],
    head_commit: { id: sha, message: "a change", author: { name: "Ada", email: "ada@example.com" } },
  };
  for (let left = bytes - JSON.stringify(payload).length; left > 100; ) {
    const commit = {
      id: randomSha(),
      message: 'Say why "this" was changed\n\nand not what',
      url: `https://github.com/${fullName}/commit/1`,
      author: { name: "Ada", email: "ada@example.com", username: "ada" },
      added: ["src/one.ts"],
      removed: [],
      modified: ["src/other.ts", "README.md"],
    };
    payload.commits.push(commit);
    left -= JSON.stringify(commit).length + 1;
  }
  return JSON.stringify(payload);
};

const randomSha = () => randomBytes(20).toString("hex");

/** Makes pushes of one repository. What is the same in all of them is written out once. */
function createPushes(fullName, bytes) {
  const [before, after] = [randomSha(), randomSha()];
  const text = pushPayload(fullName, before, after, bytes);
  return (sha) => Buffer.from(text.replace(before, randomSha()).replaceAll(after, sha));
}

function prepare({ port, path, secret, count, bytes, wrong, fullName, shas }) {
  const names = [fullName].flat();
  const pushes = new Map(names.map((name) => [name, createPushes(name, bytes)]));
  return Array.from({ length: count }, (_, n) => {
    const name = names[n % names.length];
    const own = shas?.[name];
    const sha = own ? own[Math.floor(Math.random() * own.length)] : randomSha();
    const body = pushes.get(name)(sha);
    const signature = createHmac("sha256", wrong ? `${secret} no` : secret)
      .update(body)
      .digest("hex");
    const head =
      `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUser-Agent: GitHub-Hookshot/044aadd\r\nAccept: */*\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${body.length}\r\nX-GitHub-Event: push\r\n` +
      `X-GitHub-Delivery: ${randomBytes(16).toString("hex")}\r\nX-Hub-Signature-256: sha256=${signature}\r\n\r\n`;
    return Buffer.concat([Buffer.from(head), body]);
  });
}

/** One connection; `ask` resolves with the status and the body of the answer. */
async function open(port) {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  let got = "";
  let answered;
  let failed;
  socket.setEncoding("latin1");
  socket.on("data", (text) => {
    got += text;
    const head = got.indexOf("\r\n\r\n");
    if (head < 0) return;
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(got.slice(0, head))?.[1] ?? 0);
    if (got.length < head + 4 + length) return;
    const answer = { status: Number(got.slice(9, 12)), body: got.slice(head + 4, head + 4 + length) };
    got = "";
    answered?.(answer);
  });
  const end = (error) => failed?.(error ?? new Error("the connection was closed"));
  socket.on("error", end);
  socket.on("close", () => end());
  await new Promise((resolve, reject) => {
    failed = reject;
    socket.once("connect", resolve);
  });
  return {
    ask: (request) =>
      new Promise((resolve, reject) => {
        answered = resolve;
        failed = reject;
        socket.write(request);
      }),
    end: () => {
      failed = undefined;
      socket.destroy();
    },
  };
}

async function run(options) {
  const { port, connections, rate, keepBodies = false } = options;
  const requests = prepare(options);
  const lines = await Promise.all(Array.from({ length: connections }, () => open(port)));
  const latencies = [];
  const ends = [];
  const statuses = {};
  const faults = [];
  const bodies = [];
  let next = 0;
  const begun = performance.now();
  const ask = async (line, request, since) => {
    try {
      const { status, body } = await line.ask(request);
      const now = performance.now();
      latencies.push(now - since);
      ends.push(now - begun);
      statuses[status] = (statuses[status] ?? 0) + 1;
      if (keepBodies && status === 202) bodies.push(body);
    } catch (error) {
      faults.push(error.message);
    }
  };

  if (rate === undefined)
    await Promise.all(
      lines.map(async (line) => {
        while (next < requests.length && faults.length < 10)
          await ask(line, requests[next++], performance.now());
      }),
    );
  else {
    const free = [...lines];
    const due = [];
    const pending = [];
    const go = () => {
      while (free.length > 0 && due.length > 0) {
        const line = free.pop();
        const at = due.shift();
        pending.push(
          ask(line, requests[next++], at).then(() => {
            free.push(line);
            go();
          }),
        );
      }
    };
    for (let n = 0; n < requests.length; n++) {
      const at = begun + (n * 1000) / rate;
      const wait = at - performance.now();
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
      due.push(at);
      go();
    }
    while (due.length > 0 || pending.length < requests.length)
      await new Promise((resolve) => setTimeout(resolve, 5));
    await Promise.all(pending);
  }
  const seconds = (performance.now() - begun) / 1000;
  for (const line of lines) line.end();
  return { seconds, statuses, latencies, ends, faults, bodies };
}

process.on("message", async (options) => {
  try {
    process.send({ result: await run(options) });
  } catch (error) {
    process.send({ error: error.stack });
  }
});
