/** For how long nothing must have been written, milliseconds: a burst has no longer gaps. */
const quietMs = 1_000;
/** Between two pieces of work, milliseconds: whoever comes meanwhile is served first. */
const betweenMs = 5;

/**
 * Does what can wait, piece by piece, once nothing has been written for a moment or when it becomes urgent. `work` does a
 * piece and says whether it has begun what another has to end; when it fails it is tried again after the next write.
 */
export function createLater(work: () => boolean) {
  let timer: NodeJS.Timeout | undefined;
  /** Since the timer runs, or since the first piece. */
  let hasWritten = false;
  let hasBegun = false;
  let isWorking = false;

  function wait(ms: number): void {
    clearTimeout(timer);
    hasWritten = false;
    timer = setTimeout(piece, ms).unref();
  }

  function piece(): void {
    timer = undefined;
    if (hasWritten && !hasBegun) {
      wait(quietMs);
      return;
    }
    isWorking = true;
    try {
      hasBegun = work();
    } catch {
      // What writes next gets to know it too, and can say it to somebody.
      hasBegun = false;
    }
    isWorking = false;
    if (hasBegun) timer = setTimeout(piece, betweenMs).unref();
    else if (hasWritten) wait(quietMs);
  }

  return {
    /** Something was written that leaves work behind. */
    written(isUrgent: boolean): void {
      if (isWorking) return;
      if (isUrgent && !hasBegun) {
        wait(betweenMs);
        hasBegun = true;
      } else if (timer) hasWritten = true;
      else wait(quietMs);
    },
    end: (): void => clearTimeout(timer),
  };
}
