/** How much shares one transaction at most: the event loop must get round to others in between. */
const most = 100;

interface Waiting<T> {
  work: () => T;
  resolve: (value: T) => void;
  reject: (error: unknown) => void;
}

/**
 * Gathers what comes at the same moment into one transaction: the sync to the disk is what a commit costs, and
 * a burst of deliveries shares it. `work` must be done by the time it returns; `after` is called once the
 * transaction is durable, in the order of coming. Should the common transaction fail, each gets one of its own, so
 * that nobody pays for another's fault.
 */
export function createTogether<T>(
  transaction: (work: () => void) => void,
  after: (value: T) => void,
): (work: () => T) => Promise<T> {
  const waiting: Waiting<T>[] = [];
  let scheduled = false;

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
    for (const [index, { resolve }] of group.entries()) {
      after(values[index] as T);
      resolve(values[index] as T);
    }
  }

  function schedule(): void {
    if (scheduled) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      commit(waiting.splice(0, most));
      if (waiting.length > 0) schedule();
    });
  }

  return (work) =>
    new Promise((resolve, reject) => {
      waiting.push({ work, resolve, reject });
      schedule();
    });
}
