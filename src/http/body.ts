import type { IncomingMessage } from "node:http";
import { Fault } from "../domain/fault.js";

const mib = 1024 * 1024;

/** GitHub's own limit for a payload. */
export const webhookLimit = 25 * mib;

/** What all bodies together may hold in memory: a few of the largest, or thousands of the usual ones. */
const mostHeld = 128 * mib;

/** What a piece of a body takes beside its bytes: whoever sends single bytes must not hold more than is counted. */
const pieceCost = 512;

const tooLarge = (): Fault =>
  new Fault(
    "too_large",
    "The body is larger than 25 MB",
    "GitHub sends no more than that; send the event as it came.",
  );

const gone = (): Fault =>
  new Fault("timeout", "The connection closed before its body was there", "Send it again.");

const tooSlow = (): Fault =>
  new Fault(
    "timeout",
    "Many bodies came at once, and this one had taken longest",
    "Send it again; GitHub's Redeliver does.",
  );

/**
 * Reads raw bodies. Anyone may send one before its signature can be checked, so what they may hold in memory is
 * bounded: where room is short, the body that has been coming longest is given up. Whoever sends slowly, or
 * nothing more, thus makes room for who sends, and keeps nobody waiting. A body that never comes runs into the
 * server's request timeout in any case.
 */
export function createBodyReader(most = mostHeld) {
  let held = 0;
  /** Gives up a body that is still coming; the first to come first. */
  const coming = new Set<() => void>();

  const makeRoom = (): void => {
    for (const giveUp of coming) {
      if (held <= most) return;
      giveUp();
    }
  };

  const collect = (request: IncomingMessage): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      let chunks: Buffer[] = [];
      let length = 0;
      let cost = 0;
      const leave = (): void => {
        coming.delete(giveUp);
        request.off("data", take).off("end", whole).off("error", lost).off("close", lost);
      };
      const fail = (fault: Fault): void => {
        leave();
        held -= cost;
        chunks = [];
        // What still comes is let through unread, so that the sender gets to see the answer.
        request.on("error", () => {}).resume();
        reject(fault);
      };
      const giveUp = (): void => fail(tooSlow());
      const lost = (): void => fail(gone());
      const whole = (): void => {
        leave();
        held += length - cost;
        const [only] = chunks;
        resolve(only && chunks.length === 1 ? only : Buffer.concat(chunks, length));
      };
      const take = (chunk: Buffer): void => {
        chunks.push(chunk);
        length += chunk.length;
        cost += chunk.length + pieceCost;
        held += chunk.length + pieceCost;
        if (length > webhookLimit) fail(tooLarge());
        else makeRoom();
      };
      if (Number(request.headers["content-length"] ?? 0) > webhookLimit) return fail(tooLarge());
      if (request.destroyed) return fail(gone());
      coming.add(giveUp);
      request.on("data", take).once("end", whole).once("error", lost).once("close", lost);
    });

  /** Gives the body to `use`; it counts as held in memory until `use` is done. Fault `too_large` | `timeout`. */
  return async function withBody<T>(request: IncomingMessage, use: (raw: Buffer) => Promise<T>): Promise<T> {
    const raw = await collect(request);
    try {
      return await use(raw);
    } finally {
      held -= raw.length;
    }
  };
}
