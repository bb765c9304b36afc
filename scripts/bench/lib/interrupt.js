const ends = new Set();
let isListening = false;

/** Ctrl-C in the middle of a benchmark leaves no PM2 and no app behind either. Gives a function that forgets `end`. */
export function endOnInterrupt(end) {
  ends.add(end);
  if (!isListening)
    for (const signal of ["SIGINT", "SIGTERM"])
      process.once(signal, async () => {
        await Promise.allSettled([...ends].map((each) => each()));
        process.exit(130);
      });
  isListening = true;
  return () => ends.delete(end);
}
