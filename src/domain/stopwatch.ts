/**
 * Adds up the time in which at least one thing goes on that dropless only waits for: a command, git, an app's boot, a
 * wait that was configured, a drain. The rest of a step is its own time.
 */
export interface Stopwatch {
  /** Gives the end of it; a second end does nothing. */
  begin(): () => void;
  during<T>(work: () => Promise<T>): Promise<T>;
  /** So far, milliseconds. */
  ms(): number;
}

/** `now`: milliseconds from any point, never backwards. */
export function createStopwatch(now: () => number = () => performance.now()): Stopwatch {
  let open = 0;
  let since = 0;
  let sum = 0;
  const begin = () => {
    if (open++ === 0) since = now();
    let over = false;
    return () => {
      if (over) return;
      over = true;
      if (--open === 0) sum += now() - since;
    };
  };
  return {
    begin,
    async during(work) {
      const end = begin();
      try {
        return await work();
      } finally {
        end();
      }
    },
    ms: () => sum + (open > 0 ? now() - since : 0),
  };
}
