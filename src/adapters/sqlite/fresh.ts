import type { Deploy } from "../../domain/deploy.js";
import type { Delivery } from "../../domain/request.js";

export interface Added {
  seq: number;
  place: number;
  tokenSha256: string;
  delivery: Delivery | undefined;
  deploy: Deploy;
}

/** How many are held back at most. */
const most = 200;

/**
 * The deploys that the running transaction has added, which are written when it ends or when something is to be read.
 * Of what comes together most is superseded at once: it is written once, as what it has become.
 */
export function createFresh(write: (added: Added) => void) {
  let added = new Map<string, Added>();

  function forget(): void {
    added = new Map();
  }

  function flush(): void {
    if (added.size === 0) return;
    const deploys = added;
    forget();
    for (const one of deploys.values()) write(one);
  }

  return {
    add(one: Added): void {
      if (added.size >= most) flush();
      added.set(one.deploy.id, one);
    },
    /** False when it is none of these. */
    update(deploy: Deploy): boolean {
      const one = added.get(deploy.id);
      if (one) one.deploy = deploy;
      return one !== undefined;
    },
    flush,
    /** The transaction was taken back. */
    forget,
  };
}
