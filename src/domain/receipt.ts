/** What users would have seen while a deploy rolled out. */
export interface Receipt {
  /** Requests the probe sent. */
  probes: number;
  /** Those that got no answer, or an unhealthy one. */
  failed: number;
  /** Longest time between two healthy answers, milliseconds. */
  maxGapMs: number;
}

/** Two parts of one deploy's receipt (the daemon was restarted between them). */
export const addReceipts = (a: Receipt | undefined, b: Receipt): Receipt => ({
  probes: (a?.probes ?? 0) + b.probes,
  failed: (a?.failed ?? 0) + b.failed,
  maxGapMs: Math.max(a?.maxGapMs ?? 0, b.maxGapMs),
});
