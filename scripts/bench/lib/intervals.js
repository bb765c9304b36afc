/** How much of [from, to] at least one of the intervals covers. */
export function covered(intervals, from, to) {
  let sum = 0;
  let reached = from;
  for (const { began, ended } of [...intervals].sort((a, b) => a.began - b.began)) {
    const start = Math.max(began, reached);
    const stop = Math.min(ended, to);
    if (stop > start) {
      sum += stop - start;
      reached = stop;
    }
  }
  return sum;
}
