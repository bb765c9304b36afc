/**
 * The followers of one deploy's events, in a process of their own at the lowest priority: on a real server they
 * would be other people's machines. Told what to do by its parent; says what it has seen.
 *
 * A reader checks that every event comes once and in order; it leaves now and then in the middle and comes again
 * with its last id. A slow one takes some every now and then. A stalled one never reads.
 */
import { request } from "node:http";
import { setPriority } from "node:os";

setPriority(19);
const [port, token, id, readers, slow, stalled] = process.argv.slice(2);
const seen = { ends: {}, lines: 0, reconnects: 0, faults: [], connected: 0 };
const head = Buffer.from("id: ");

/** What of an event stream is needed: ids, and the end. */
function createChecker(from) {
  let last = from;
  let rest = Buffer.alloc(0);
  let ended = false;
  return {
    get last() {
      return last;
    },
    get ended() {
      return ended;
    },
    take(chunk) {
      const text = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
      let at = 0;
      for (let end = text.indexOf("\n\n", at); end >= 0; end = text.indexOf("\n\n", at)) {
        if (text[at] === 0x69 && text.indexOf(head, at) === at) {
          const value = text.toString("latin1", at + 4, text.indexOf(0x0a, at));
          if (value === "end") ended = true;
          else if (Number(value) === last + 1) last++;
          else seen.faults.push(`${value} came after ${last}`);
        }
        at = end + 2;
      }
      rest = text.subarray(at);
    },
  };
}

const connect = (last, take) =>
  new Promise((resolve) => {
    const asked = request(
      {
        host: "127.0.0.1",
        port,
        path: `/deploys/${id}/events`,
        agent: false,
        headers: { authorization: `Bearer ${token}`, ...(last > 0 && { "last-event-id": String(last) }) },
      },
      (response) => {
        seen.connected++;
        if (response.statusCode !== 200) seen.faults.push(`answered ${response.statusCode}`);
        take(response);
        response.on("close", resolve);
        response.on("error", resolve);
      },
    );
    asked.on("error", (error) => {
      seen.faults.push(error.message);
      resolve();
    });
    asked.end();
  });

async function read() {
  let last = 0;
  for (;;) {
    const checker = createChecker(last);
    const leaveAfter = Math.random() < 0.5 ? 20_000 + Math.random() * 400_000 : Number.POSITIVE_INFINITY;
    await connect(last, (response) => {
      response.on("data", (chunk) => {
        checker.take(chunk);
        if (checker.last - last > leaveAfter) response.destroy();
      });
    });
    last = checker.last;
    if (checker.ended) break;
    seen.reconnects++;
  }
  seen.ends[last] = (seen.ends[last] ?? 0) + 1;
  seen.lines += last;
}

const idle = [];
const readSlowly = () =>
  connect(0, (response) => {
    const timer = setInterval(() => response.read(), 1000);
    response.on("close", () => clearInterval(timer));
    response.on("readable", () => {});
    idle.push(response);
  });
const stall = () => connect(0, (response) => idle.push(response.pause()));

const reading = Array.from({ length: Number(readers) }, read);
for (let n = 0; n < Number(slow); n++) readSlowly();
for (let n = 0; n < Number(stalled); n++) stall();
const all = Number(readers) + Number(slow) + Number(stalled);
const connected = setInterval(() => {
  if (seen.connected < all) return;
  clearInterval(connected);
  process.send("connected");
}, 50);

await Promise.all(reading);
for (const response of idle) response.destroy();
process.send({ ...seen, faults: seen.faults.slice(0, 10) }, () => process.exit());
