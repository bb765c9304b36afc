import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { type Deploy, endedStatuses, isEnded } from "../domain/deploy.js";
import type { Queue } from "../domain/ports.js";

export interface MetricsDeps {
  /** Names of the configured apps. */
  apps: string[];
  queue: Pick<Queue, "app" | "list" | "subscribe">;
  version: string;
}

/** What Prometheus reads: its text, and the content type to send it with. */
export interface Metrics {
  read(): Promise<{ contentType: string; text: string }>;
  close(): void;
}

/** Seconds; from a step that has nothing to do to a build that runs into its time limit. */
const buckets = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800];

/** At most so many waiting deploys are counted; newest wins, so an app has one or two. */
const mostWaiting = 100;

/**
 * Deploys, steps, receipts, what is live, and this process, in Prometheus's names and base units. Counters count
 * from the start of the daemon, as Prometheus expects; gauges are read when they are asked for.
 */
export function createMetrics({ apps, queue, version }: MetricsDeps): Metrics {
  const register = new Registry();
  const registers = [register];
  collectDefaultMetrics({ register });

  const deploys = new Counter({
    name: "dropless_deploys_total",
    help: "Deploys that have ended, by outcome.",
    labelNames: ["app", "outcome"],
    registers,
  });
  const deployDuration = new Histogram({
    name: "dropless_deploy_duration_seconds",
    help: "Time from the start of a deploy to its end; the time it waited does not count.",
    labelNames: ["app", "outcome"],
    buckets,
    registers,
  });
  const stepDuration = new Histogram({
    name: "dropless_step_duration_seconds",
    help: "Time that a step of a deploy took.",
    labelNames: ["app", "step", "status"],
    buckets,
    registers,
  });
  const probes = new Counter({
    name: "dropless_receipt_probes_total",
    help: "Probes sent to an app while its deploys rolled out.",
    labelNames: ["app"],
    registers,
  });
  const failures = new Counter({
    name: "dropless_receipt_failures_total",
    help: "Probes of those that failed: what users would have seen.",
    labelNames: ["app"],
    registers,
  });
  new Gauge({
    name: "dropless_queue_length",
    help: "Deploys that wait.",
    registers,
    collect() {
      this.set(queue.list({ status: "queued", limit: mostWaiting }).deploys.length);
    },
  });
  new Gauge({
    name: "dropless_deploy_running",
    help: "1 for the app whose deploy runs.",
    labelNames: ["app"],
    registers,
    collect() {
      const running = queue.list({ status: "running", limit: 1 }).deploys[0]?.app;
      for (const app of apps) this.set({ app }, app === running ? 1 : 0);
    },
  });
  new Gauge({
    name: "dropless_app_held",
    help: "1 while an app is on hold.",
    labelNames: ["app"],
    registers,
    collect() {
      for (const app of apps) this.set({ app }, queue.app(app).hold ? 1 : 0);
    },
  });
  new Gauge({
    name: "dropless_live_release_info",
    help: "Always 1: the release and commit that is live.",
    labelNames: ["app", "release", "commit"],
    registers,
    collect() {
      // The labels of what was live before must go, or two releases seem to be.
      this.reset();
      for (const app of apps) {
        const { live } = queue.app(app);
        if (live) this.set({ app, release: live.release, commit: live.sha }, 1);
      }
    },
  });
  new Gauge({
    name: "dropless_live_since_timestamp_seconds",
    help: "When the live release became so.",
    labelNames: ["app"],
    registers,
    collect() {
      this.reset();
      for (const app of apps) {
        const { live } = queue.app(app);
        if (live) this.set({ app }, Date.parse(live.since) / 1000);
      }
    },
  });
  new Gauge({
    name: "dropless_build_info",
    help: "Always 1: the version of dropless.",
    labelNames: ["version"],
    registers,
  }).set({ version }, 1);

  // From zero on, so that the first failure is a rise that an alert can see.
  for (const app of apps) {
    for (const outcome of endedStatuses) deploys.inc({ app, outcome }, 0);
    probes.inc({ app }, 0);
    failures.inc({ app }, 0);
  }

  const count = (deploy: Deploy): void => {
    if (!isEnded(deploy)) return;
    const { app, status: outcome, startedAt, finishedAt, steps = [], receipt } = deploy;
    deploys.inc({ app, outcome });
    if (startedAt)
      deployDuration.observe(
        { app, outcome },
        Math.max(0, Date.parse(finishedAt) - Date.parse(startedAt)) / 1000,
      );
    for (const { name: step, status, durationMs } of steps)
      if (durationMs !== undefined && status !== "skipped")
        stepDuration.observe({ app, step, status }, durationMs / 1000);
    if (receipt) {
      probes.inc({ app }, receipt.probes);
      failures.inc({ app }, receipt.failed);
    }
  };
  const unsubscribe = queue.subscribe(count);

  return {
    read: async () => ({ contentType: register.contentType, text: await register.metrics() }),
    close() {
      unsubscribe();
      register.clear();
    },
  };
}
