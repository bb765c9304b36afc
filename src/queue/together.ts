/** How much shares one transaction at most: the event loop must get round to others in between. */
const most = 100;
/** For how many turns of the event loop the first waits for others to join it, at most. */
const patience = 4;

interface Waiting<T> {
  work: () => T;
  resolve: (value: T) => void;
  reject: (error: unknown) => void;
}

interface Deps<T> {
  /** Durable when it returns. */
  transaction: (work: () => void) => void;
  /** Called once they are durable, with what has come of all that shared a transaction, in the order of coming. */
  after: (values: T[]) => void;
}

/**
 * Gathers what comes at the same moment into one transaction: its sync, and the pages that all of them change, are
 * what a commit costs. `work` must be done by the time it returns. Should the common transaction fail, each gets one of
 * its own, so that nobody pays for another's fault.
 */
export function createTogether<T>({ transaction, after }: Deps<T>) {
  const waiting: Waiting<T>[] = [];

  function commit(group: Waiting<T>[]): void {
    const values: T[] = [];
    try {
      transaction(() => {
        for (const { work } of group) values.push(work());
      });
    } catch (error) {
      if (group.length > 1) for (const one of group) commit([one]);
      else group[0]?.reject(error);
      return;
    }
    after(values);
    for (const [index, { resolve }] of group.entries()) resolve(values[index] as T);
  }

  /** Whatever else the event loop has just got joins in, and what it gets next while it gets ever more. */
  function gather(seen = 0, turns = patience): void {
    setImmediate(() => {
      const { length } = waiting;
      if (length > seen && length < most && turns > 0) return gather(length, turns - 1);
      commit(waiting.splice(0, most));
      if (waiting.length > 0) gather();
    });
  }

  return (work: () => T): Promise<T> =>
    new Promise((resolve, reject) => {
      if (waiting.push({ work, resolve, reject }) === 1) gather();
    });
}
