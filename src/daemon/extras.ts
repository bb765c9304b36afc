import type { Config } from "../config/schema.js";
import type { Queue } from "../domain/ports.js";
import type { Metrics } from "../extras/metrics.js";

interface Deps {
  config: Config;
  queue: Queue;
  version: string;
}

/** What a configuration may ask for beyond deploying. */
export interface Extras {
  metrics?: Metrics["read"];
  stop(): Promise<void>;
}

/** Only what is configured is loaded: whoever wants none of it has a small daemon. */
export async function createExtras({ config, queue, version }: Deps): Promise<Extras> {
  const metrics = config.metrics
    ? (await import("../extras/metrics.js")).createMetrics({
        apps: Object.keys(config.apps),
        queue,
        version,
      })
    : undefined;
  return {
    metrics: metrics?.read,
    async stop() {
      metrics?.close();
    },
  };
}
