/**
 * Lets readers through a few at a time, so that between them the event loop gets round to everything else: five
 * hundred followers of a log must not be what slows down the deploy that writes it.
 */
export function createTurnstile(perTurn: () => number) {
  const waiting: (() => void)[] = [];
  let passed = 0;
  let scheduled = false;

  function schedule(): void {
    if (scheduled) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      passed = 0;
      const next = waiting.splice(0, perTurn());
      passed = next.length;
      for (const resolve of next) resolve();
      if (waiting.length > 0) schedule();
    });
  }

  return (): Promise<void> | undefined => {
    schedule();
    if (waiting.length === 0 && passed < perTurn()) {
      passed++;
      return undefined;
    }
    return new Promise((resolve) => waiting.push(resolve));
  };
}
