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
  seq: number;
}

interface Write {
  deploy: (added: Added) => void;
  delivery: (app: string, delivery: Delivery, seq: number) => void;
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
    for (const { app, delivery, seq } of deliveries) write.delivery(app, delivery, seq);
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
      const one = added.get(deploy);
      if (one) known.push({ app, delivery, seq: one.seq });
      return one !== undefined;
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
