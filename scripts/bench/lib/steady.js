import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const child = fileURLToPath(new URL("./steady-child.js", import.meta.url));

/**
 * `perSecond` GETs of `path`, until `stop()`: every answer as [sent, milliseconds, good], and whether the askers had
 * the machine before everybody else.
 */
export function startSteady({ port, path = "/", perSecond = 100 }) {
  const asking = fork(child, [port, path, perSecond].map(String), {
    execArgv: [],
    detached: true,
  });
  return {
    async stop() {
      asking.send("stop");
      const [result] = await once(asking, "message");
      return result;
    },
    abort: () => asking.kill("SIGKILL"),
  };
}

/** What was sent within [from, to]. */
export const between = (answers, from, to) => answers.filter(([sent]) => sent >= from && sent < to);

/** What those of [from, to] took, milliseconds, and how many they were and failed. */
export function within(answers, from, to) {
  const those = between(answers, from, to);
  const sorted = those.map(([, ms]) => ms).sort((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  return {
    count: those.length,
    failed: those.filter(([, , good]) => !good).length,
    p50: at(0.5),
    p90: at(0.9),
    p99: at(0.99),
    p999: at(0.999),
  };
}
