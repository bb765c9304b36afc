import { hash } from "node:crypto";
import { isEnded } from "../domain/deploy.js";
import { createRandom } from "../domain/ids.js";
import type { Store } from "./store.js";

/** How long a deploy's token outlives it, milliseconds (docs/http.md). */
const afterlifeMs = 3_600_000;

/**
 * The deploy's id and 256 random bits: as nothing can be guessed, a plain hash is enough and comparing needs no
 * constant time.
 */
export function createTokens(random = createRandom()): (deploy: string) => string {
  return (deploy) => `${deploy}.${random(32).toString("base64url")}`;
}

/**
 * By what the store finds a token. Behind the deploy's id, so that new ones are neighbours there: each would cost a
 * page of its own to be written.
 */
export function hashToken(token: string): string {
  const sha256 = hash("sha256", token);
  const end = token.indexOf(".");
  return end < 0 ? sha256 : `${token.slice(0, end)}.${sha256}`;
}

/** A deploy's token reads that deploy and those that supersede it, until an hour after the final one's end. */
export function tokenReads(store: Store, token: string, id: string, now: number): boolean {
  const owner = store.tokenOwner(hashToken(token));
  if (owner === undefined || !store.isHeir(owner, id)) return false;
  const last = store.lastHeir(owner);
  return last !== undefined && (!isEnded(last) || now <= Date.parse(last.finishedAt) + afterlifeMs);
}
