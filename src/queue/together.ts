/** How much shares one transaction at most: the event loop must get round to others in between. */
const most = 100;

/** For how many turns of the event loop the first waits for others to join it, at most. */
const patience = 4;

interface Waiting<T> {
  work: () => T;
  resolve: (value: T) => void;
  reject: (error: unknown) => void;
}

interface Done<T> extends Pick<Waiting<T>, "resolve" | "reject"> {
  value: T;
}

interface Deps<T> {
  /** Done when it returns, durable only with the next sync. */
  transaction: (work: () => void) => void;
  /** Resolves when all that was done before is durable. */
  synced: () => Promise<void>;
  syncNow: () => void;
  /** Called once a piece of work is durable, in the order of coming. */
  after: (value: T) => void;
}

/**
 * Gathers what comes at the same moment into one transaction, and the transactions of as long as a sync takes into the
 * next sync: waiting for the disk is what a commit costs, and nobody else is to wait for it. `work` must be done by
 * the time it returns. Should the common transaction fail, each gets one of its own, so that nobody pays for
 * another's fault.
 */
export function createTogether<T>({ transaction, synced, syncNow, after }: Deps<T>) {
  const waiting: Waiting<T>[] = [];
  /** Stored, and waiting for the disk. */
  const stored: Done<T>[] = [];
  let active = false;

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
    for (const [index, { resolve, reject }] of group.entries())
      stored.push({ value: values[index] as T, resolve, reject });
  }

  /** Their sync has ended, if they have not been settled meanwhile. */
  function finish(failure?: { error: unknown }): void {
    for (const { value, resolve, reject } of stored.splice(0))
      if (failure) reject(failure.error);
      else {
        after(value);
        resolve(value);
      }
  }

  /** One round after the other, each with what has come during the last. */
  async function work(): Promise<void> {
    while (waiting.length > 0) {
      commit(waiting.splice(0, most));
      await synced().then(
        () => finish(),
        (error: unknown) => finish({ error }),
      );
    }
    active = false;
  }

  return {
    add: (piece: () => T): Promise<T> =>
      new Promise((resolve, reject) => {
        waiting.push({ work: piece, resolve, reject });
        start();
      }),
    /** What is stored becomes durable, and `after` is called for it, before this returns. */
    settle(): void {
      if (stored.length === 0) return;
      try {
        syncNow();
        finish();
      } catch (error) {
        finish({ error });
      }
    },
  };

  function start(): void {
    if (active) return;
    active = true;
    gather(0, patience);
  }

  /** Whatever else the event loop has just got joins in, and what it gets next while it gets ever more. */
  function gather(seen: number, turns: number): void {
    setImmediate(() => {
      const { length } = waiting;
      if (length > seen && length < most && turns > 0) gather(length, turns - 1);
      else void work();
    });
  }
}
