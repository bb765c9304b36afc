const ends = new Set();
let isListening = false;

/** Ctrl-C in the middle of a benchmark leaves no PM2 and no app behind either. Gives a function that forgets `end`. */
export function endOnInterrupt(end) {
  ends.add(end);
  if (!isListening)
    for (const signal of ["SIGINT", "SIGTERM"])
      process.once(signal, async () => {
        // One after the other: what was begun last may still write into what was begun first.
        for (const each of [...ends].reverse()) {
          try {
            await each();
          } catch (error) {
            process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
          }
        }
        process.exit(130);
      });
  isListening = true;
  return () => ends.delete(end);
}
