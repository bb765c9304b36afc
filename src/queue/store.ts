import type { Deploy, Queued, Running } from "../domain/deploy.js";
import type { DeployFilter } from "../domain/ports.js";
import type { AppState, Delivery } from "../domain/request.js";

/** A deploy that waits, and its place in the line: lower is earlier. */
export interface Waiting {
  deploy: Queued;
  place: number;
}

/** Where a deploy comes from. */
export interface Origin {
  tokenSha256: string;
  /** That of the waiting deploy it takes over from; without one it goes to the end of the line. */
  place?: number;
  /** What has made it, which finds it from now on. */
  delivery?: Delivery;
  /** The earlier deploy of the same delivery, which this one repeats. */
  instead?: string;
}

/**
 * What the queue needs of a store. Everything is synchronous, and durable when it returns. A write that fails
 * throws Fault `store_unwritable` and has changed nothing.
 */
export interface Store {
  /** All of `work` or nothing of it; a transaction inside another joins it. */
  transaction<T>(work: () => T): T;
  add(deploy: Queued, origin: Origin): void;
  update(deploy: Deploy): void;
  get(id: string): Deploy | undefined;
  /** Newest first, by the order in which they were added: clocks jump, this order does not. */
  list(filter: DeployFilter): { deploys: Deploy[]; next?: string };
  /** Succeeded deploys that have a release (one of `of`), newest first; as many as anybody could go back to. */
  succeeded(app: string, of?: readonly string[]): Deploy[];
  /** Of one app, or of all; the earliest place first. */
  waiting(app?: string): Waiting[];
  /** Place in the line of one that waits; 1 is the next to run. */
  position(id: string): number | undefined;
  /** With all that it stands for. */
  running(): Running | undefined;
  /** The shas of a deploy and of all whose place it has taken over, newest first, each once; see Deploy. */
  standsFor(id: string): string[];
  /** The deploy that a delivery has made, found by the body it had or else by its id. */
  remembered(app: string, delivery: Delivery): Deploy | undefined;
  app(name: string): AppState;
  setApp(name: string, state: AppState): void;
  /** The deploy that a token was given out with. */
  tokenOwner(tokenSha256: string): string | undefined;
  /** Is this deploy one of those that superseded `owner`, one after the other, or `owner` itself? */
  isHeir(owner: string, id: string): boolean;
  /** The deploy at the end of those that superseded this one, one after the other; or this one. */
  lastHeir(id: string): Deploy | undefined;
}
