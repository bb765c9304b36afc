import type { IncomingMessage } from "node:http";
import { Fault } from "../domain/fault.js";

const mib = 1024 * 1024;

/** GitHub's own limit for a payload. */
export const webhookLimit = 25 * mib;

/** What any request may bring; nearly all payloads are smaller. */
const freely = mib;

/** How many bodies larger than that are in memory at once. */
const largeAtOnce = 4;

const tooLarge = (): Fault =>
  new Fault(
    "too_large",
    "The body is larger than 25 MB",
    "GitHub sends no more than that; send the event as it came.",
  );

const gone = (): Fault =>
  new Fault("timeout", "The connection closed before its body was there", "Send it again.");

/**
 * Reads raw bodies. Anyone may send one before its signature can be checked, so what they may hold in memory is
 * bounded: large ones wait for their turn, small ones never do, and a body that never comes runs into the
 * server's request timeout.
 */
export function createBodyReader() {
  let large = 0;
  const waiting: (() => void)[] = [];

  const turn = async (request: IncomingMessage): Promise<() => void> => {
    if (large >= largeAtOnce)
      await new Promise<void>((resolve, reject) => {
        const left = () => {
          waiting.splice(waiting.indexOf(go), 1);
          reject(gone());
        };
        const go = () => {
          request.off("close", left);
          resolve();
        };
        waiting.push(go);
        request.once("close", left);
        if (request.destroyed) left();
      });
    large++;
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      large--;
      waiting.shift()?.();
    };
  };

  /** Gives the body to `use`; it counts as held in memory until `use` is done. Fault `too_large` | `timeout`. */
  return async function withBody<T>(request: IncomingMessage, use: (raw: Buffer) => Promise<T>): Promise<T> {
    let release: (() => void) | undefined;
    const chunks: Buffer[] = [];
    let length = 0;
    try {
      if (Number(request.headers["content-length"] ?? 0) > webhookLimit) throw tooLarge();
      for await (const chunk of request.iterator({ destroyOnReturn: false })) {
        length += (chunk as Buffer).length;
        if (length > webhookLimit) throw tooLarge();
        if (length > freely) release ??= await turn(request);
        chunks.push(chunk as Buffer);
      }
      return await use(Buffer.concat(chunks, length));
    } catch (error) {
      // What still comes is let through unread, so that the sender gets to see the answer.
      request.resume();
      throw (error as NodeJS.ErrnoException).code === "ECONNRESET" ? gone() : error;
    } finally {
      release?.();
    }
  };
}
