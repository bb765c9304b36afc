import type { Deploy } from "../../domain/deploy.js";
import type { Waiting } from "../../queue/store.js";
import { isQueued } from "./rows.js";

/**
 * What waits, as the database has it. Each delivery asks for it twice and there is nobody else who writes (lock.ts),
 * so that it is kept; after a transaction that was taken back it is read again.
 */
export function createLine(read: () => Waiting[]) {
  let known: Map<string, Waiting> | undefined;
  const line = () => {
    known ??= new Map(read().map((one) => [one.deploy.id, one]));
    return known;
  };
  /** People's rollbacks go ahead of everything else (queue/rules.ts). */
  const rank = ({ deploy }: Waiting) => (deploy.trigger === "rollback" ? 0 : 1);

  return {
    /** The earliest place first. */
    waiting: (app?: string): Waiting[] =>
      [...line().values()]
        .filter(({ deploy }) => app === undefined || deploy.app === app)
        .sort((a, b) => a.place - b.place),
    position(id: string): number | undefined {
      const own = line().get(id);
      if (!own) return undefined;
      let position = 0;
      for (const one of line().values())
        if (rank(one) < rank(own) || (rank(one) === rank(own) && one.place <= own.place)) position++;
      return position;
    },
    added(deploy: Deploy, place: number): void {
      if (isQueued(deploy)) known?.set(deploy.id, { deploy, place });
    },
    updated(deploy: Deploy): void {
      const place = known?.get(deploy.id)?.place;
      if (!isQueued(deploy)) known?.delete(deploy.id);
      else if (place === undefined) known = undefined;
      else known?.set(deploy.id, { deploy, place });
    },
    forget(): void {
      known = undefined;
    },
  };
}
