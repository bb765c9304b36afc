import { Agent as TlsAgent } from "node:https";
import { performance } from "node:perf_hooks";
import type { Receipt } from "../domain/receipt.js";
import { ask, isHealthy, question } from "../rollout/ask.js";
import type { StartProbe } from "../rollout/types.js";

/** Not imported: as in rollout/ask.ts. */
const { Agent } = process.getBuiltinModule("node:http");

/** Milliseconds between two requests; each is sent on time, whatever the ones before it do. */
const everyMs = 50;

/**
 * Asks the app from outside, as its users do, every other request over a connection that is kept. No failure is counted
 * of what was asked before the first question with a good answer, whenever it is known: the app of a first deploy cannot
 * fail anybody yet.
 */
export const startProbe: StartProbe = (app, log) => {
  const receipt: Receipt = { probes: 0, failed: 0, maxGapMs: 0 };
  const port = app.port;
  if (port === undefined) return { stop: async () => receipt };

  let lastGood: number | undefined;
  /** Number of the earliest question that got a good answer. */
  let firstServed = Number.POSITIVE_INFINITY;
  let stopped = false;
  let sent = 0;
  const open = new Set<Promise<void>>();
  const asked = question(app, port);
  const kept = { keepAlive: true, maxSockets: 1 };
  const agents = { plain: new Agent(kept), tls: new TlsAgent(kept) };

  const count = (number: number, good: boolean, why: string) => {
    const now = performance.now();
    if (good) firstServed = Math.min(firstServed, number);
    if (number < firstServed) return;
    receipt.probes++;
    if (!good) {
      receipt.failed++;
      if (receipt.failed <= 20) log.say(`probe: GET ${app.health.path ?? "/"} ${why}`);
      return;
    }
    if (lastGood !== undefined) receipt.maxGapMs = Math.max(receipt.maxGapMs, Math.round(now - lastGood));
    lastGood = now;
  };

  const probe = async () => {
    const number = sent++;
    const answer = await (number % 2 === 0 ? ask(asked) : ask({ ...asked, agents }));
    if (stopped && "error" in answer) return;
    count(number, isHealthy(app, answer), "status" in answer ? `answered ${answer.status}` : answer.error);
  };

  const timer = setInterval(() => {
    // An app that hangs is known after a few; more would only fill its queue.
    if (open.size >= 20) return;
    const running = probe();
    open.add(running);
    void running.finally(() => open.delete(running));
  }, everyMs);

  return {
    async stop() {
      clearInterval(timer);
      await Promise.all(open);
      stopped = true;
      agents.plain.destroy();
      agents.tls.destroy();
      if (lastGood !== undefined && receipt.failed > 0) {
        receipt.maxGapMs = Math.max(receipt.maxGapMs, Math.round(performance.now() - lastGood));
      }
      return receipt;
    },
  };
};
