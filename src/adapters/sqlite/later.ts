/** For how long nothing must have been written, milliseconds: a burst has no longer gaps. */
const quietMs = 1_000;
/** After one that failed, milliseconds. */
const retryMs = 30_000;
/** Between two pieces of work, milliseconds: whoever comes meanwhile is served first. */
const betweenMs = 5;

interface Deps {
  /** Does a piece, and says whether it has begun what another has to end. */
  work: () => boolean;
  /** Is there anything to do? */
  isLeft: () => boolean;
}

/**
 * Does what can wait, piece by piece, once nothing has been written for a moment or when it becomes urgent. What fails
 * is tried again after a while. Nobody waits for it, and nothing of it runs when nothing is left.
 */
export function createLater({ work, isLeft }: Deps) {
  let timer: NodeJS.Timeout | undefined;
  /** Since the timer runs. */
  let hasWritten = false;
  let hasBegun = false;

  function wait(ms: number): void {
    clearTimeout(timer);
    hasWritten = false;
    timer = setTimeout(look, ms).unref();
  }

  function end(): void {
    clearTimeout(timer);
    timer = undefined;
  }

  function look(): void {
    if (hasWritten && !hasBegun) wait(quietMs);
    else piece();
  }

  function piece(): void {
    try {
      hasBegun = work();
      if (hasBegun) wait(betweenMs);
      else if (isLeft()) wait(quietMs);
      else end();
    } catch {
      // What else is written gets to know it too, and can say it to somebody.
      hasBegun = false;
      wait(retryMs);
    }
  }

  return {
    /** Something was written. */
    written(isUrgent: boolean): void {
      hasWritten = true;
      if (isUrgent && !hasBegun) {
        hasBegun = true;
        wait(betweenMs);
      } else if (!timer && isLeft()) wait(quietMs);
    },
    end,
  };
}
