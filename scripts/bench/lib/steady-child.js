/**
 * Asks at a steady rate, whether answers come or not, and notes what each one took. In a process of its own, and
 * before everything else on the machine where that is allowed: on a real server the askers would be other machines,
 * and what they wait for themselves is no part of an answer.
 */
import { writeFileSync } from "node:fs";
import http from "node:http";
import { setPriority } from "node:os";

const [port, path, perSecond] = process.argv.slice(2);
let isFirst = true;
try {
  setPriority(-10);
  // Where processor time is shared between sessions first: it is one of its own.
  writeFileSync("/proc/self/autogroup", "-10");
} catch (error) {
  isFirst = error.code === "ENOENT";
}
const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
/** [sent (milliseconds since 1970), milliseconds until the last byte, good] */
const answers = [];
const open = new Set();

const ask = () => {
  const [sent, began] = [Date.now(), performance.now()];
  const note = (good) => {
    if (!open.delete(request)) return;
    answers.push([sent, performance.now() - began, good]);
  };
  const request = http.get({ host: "127.0.0.1", port, path, agent, timeout: 30_000 }, (response) => {
    response.on("end", () => note(response.statusCode === 200));
    response.on("error", () => note(false));
    response.resume();
  });
  open.add(request);
  request.on("timeout", () => request.destroy());
  request.on("error", () => note(false));
};

const began = performance.now();
let asked = 0;
const timer = setInterval(() => {
  for (; asked < ((performance.now() - began) * perSecond) / 1000; asked++) ask();
}, 2);
process.on("disconnect", () => process.exit(1));
process.once("message", async () => {
  clearInterval(timer);
  while (open.size > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  process.send({ answers, isFirst }, () => process.exit());
});
