/** The rules of the queue and of repeated deliveries (docs/http.md), pure. */
import { type Deploy, isByPerson, type Queued, type Trigger } from "../domain/deploy.js";
import type { Waiting } from "./store.js";

/** How often a delivery may be repeated after its deploy has failed. */
const maxRepeats = 5;

/** May a repeated delivery start a new deploy in place of the one it made before? */
export const mayRepeat = (earlier: Deploy): boolean =>
  (earlier.status === "failed" ||
    earlier.status === "canceled" ||
    earlier.status === "rolled_back" ||
    earlier.status === "rollback_failed") &&
  earlier.attempt <= maxRepeats;

/** Newest wins, but what a person went back to is not overrun by a push. */
export const supersedes = (newer: Trigger, waiting: Pick<Queued, "trigger">): boolean =>
  waiting.trigger !== "rollback" || isByPerson(newer);

/**
 * Whose place in the line, and whose commits, a new deploy takes over. A rollback takes none: a person has
 * decided against those commits. Keeping the place is what saves an app that is pushed to often from
 * starving behind the others.
 */
export const inherited = (newer: Trigger, superseded: Waiting[]): Waiting | undefined =>
  newer === "rollback" ? undefined : superseded.find(({ deploy }) => deploy.trigger !== "rollback");

const rank = ({ deploy }: Waiting): number => (deploy.trigger === "rollback" ? 0 : 1);

/** The line: people's rollbacks, then everything else, the oldest place first. */
export const inOrder = (waiting: Waiting[]): Waiting[] =>
  [...waiting].sort((a, b) => rank(a) - rank(b) || a.place - b.place);

/** Who is to run next. A held app starts nothing but a person's rollback. */
export const nextOf = (waiting: Waiting[], isHeld: (app: string) => boolean): Queued | undefined =>
  inOrder(waiting).find(({ deploy }) => deploy.trigger === "rollback" || !isHeld(deploy.app))?.deploy;
