import type { Deploy } from "../../domain/deploy.js";
import type { Delivery } from "../../domain/request.js";

export interface Added {
  seq: number;
  place: number;
  tokenSha256: string;
  deploy: Deploy;
}

interface Known {
  app: string;
  delivery: Delivery;
  deploy: string;
}

interface Write {
  deploy: (added: Added) => void;
  delivery: (app: string, delivery: Delivery, deploy: string) => void;
}

/** How many are held back at most. */
const most = 200;

/**
 * The deploys that the running transaction has added, and their deliveries, which are written when it ends or when
 * something is to be read. Of what comes together most is superseded at once: it is written once, as what it has become.
 */
export function createFresh(write: Write) {
  let added = new Map<string, Added>();
  let known: Known[] = [];

  function forget(): void {
    added = new Map();
    known = [];
  }

  function flush(): void {
    if (added.size === 0) return;
    const [deploys, deliveries] = [added, known];
    forget();
    for (const one of deploys.values()) write.deploy(one);
    for (const { app, delivery, deploy } of deliveries) write.delivery(app, delivery, deploy);
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
    /** False when it has made none of these. */
    remember(app: string, delivery: Delivery, deploy: string): boolean {
      const isFresh = added.has(deploy);
      if (isFresh) known.push({ app, delivery, deploy });
      return isFresh;
    },
    flush,
    /** The transaction was taken back. */
    forget,
    /** Might the delivery have made one of these? */
    recalls: (app: string, { id, bodySha256 }: Delivery): boolean =>
      known.some(
        (one) => one.app === app && (one.delivery.id === id || one.delivery.bodySha256 === bodySha256),
      ),
  };
}
