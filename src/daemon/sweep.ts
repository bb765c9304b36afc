import { toFault } from "../domain/fault.js";

interface Sweeper {
  sweep(): Promise<void>;
}

/**
 * Removes what deploys have thrown away, of one after the other. What cannot be removed is reported when that begins or
 * changes, and not after each deploy: every deploy of its app says it in its own log.
 */
export function createSweep(sweepers: readonly Sweeper[], report: (error: unknown) => void) {
  const told = new Map<Sweeper, string>();
  return async (): Promise<void> => {
    for (const sweeper of sweepers)
      try {
        await sweeper.sweep();
        told.delete(sweeper);
      } catch (error) {
        const { message } = toFault(error);
        if (told.get(sweeper) !== message) report(error);
        told.set(sweeper, message);
      }
  };
}
