import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { createMetrics } from "../../src/extras/metrics.js";
import { bench, operators } from "../http/bench.js";
import { shaOf } from "../support/payloads.js";

const measured = () =>
  bench({
    more: { metrics: true },
    deps: (config, queue) => {
      const metrics = createMetrics({ apps: Object.keys(config.apps), queue, version: "1.2.3" });
      onTestFinished(() => metrics.close());
      return { metrics: metrics.read };
    },
  });

it("is not there unless it is configured", async () => {
  const { inject } = await bench();
  expect((await inject("GET", "/metrics")).status).toBe(404);
});

it("tells who has a read token of deploys, steps, receipts and what is live", async () => {
  const { inject, begin, queue, run, ended, live } = await measured();
  expect((await inject("GET", "/metrics", { token: null })).status).toBe(401);
  const ask = (sha: string) => {
    const commit = { sha, message: "", author: "" };
    const submission = queue.ask({ app: "api", trigger: "manual", ref: "refs/heads/main", commit });
    if (submission.kind !== "queued") throw new Error("not queued");
    return submission.deploy.id;
  };
  const read = async () => {
    const answer = await inject("GET", "/metrics", { token: operators.reader });
    expect(answer.status).toBe(200);
    expect(answer.headers["content-type"]).toMatch(/^text\/plain; version=0\.0\.4/);
    return answer.text;
  };

  const first = ask(shaOf(1));
  const before = await read();
  expect(before).toContain("\ndropless_queue_length 1\n");
  expect(before).toContain('\ndropless_deploys_total{app="api",outcome="failed"} 0\n');
  expect(before).toContain('\ndropless_build_info{version="1.2.3"} 1\n');
  expect(before).toMatch(/^process_cpu_seconds_total /m);
  expect(before).not.toContain("dropless_live_release_info{");

  begin();
  const { recorder, end } = await run(1);
  recorder.step("fetch", "running");
  recorder.step("fetch", "succeeded");
  recorder.step("install", "skipped");
  recorder.receipt({ probes: 40, failed: 3, maxGapMs: 20 });
  expect(await read()).toContain('\ndropless_deploy_running{app="api"} 1\n');
  end({ status: "rolled_back", error: { code: "unhealthy", message: "It is.", hint: "Mend it." } });
  await ended(first);
  const { release } = await live("api", shaOf(2));
  await live("api", shaOf(3));
  queue.hold("web", "frozen", "ann");

  const text = await read();
  expect(text).toContain('\ndropless_deploys_total{app="api",outcome="rolled_back"} 1\n');
  expect(text).toContain('\ndropless_deploys_total{app="api",outcome="succeeded"} 2\n');
  expect(text).toContain('\ndropless_deploy_duration_seconds_count{app="api",outcome="rolled_back"} 1\n');
  expect(text).toContain(
    '\ndropless_step_duration_seconds_count{app="api",step="fetch",status="succeeded"} 1\n',
  );
  expect(text).not.toContain('step="install"');
  expect(text).toContain('\ndropless_receipt_probes_total{app="api"} 40\n');
  expect(text).toContain('\ndropless_receipt_failures_total{app="api"} 3\n');
  expect(text).toContain("\ndropless_queue_length 0\n");
  expect(text).toContain('\ndropless_app_held{app="web"} 1\n');
  expect(text).toContain(`commit="${shaOf(3)}"} 1\n`);
  expect(text).not.toContain(release);
  expect(text).toMatch(/\ndropless_live_since_timestamp_seconds\{app="api"\} 1[\d.]{9,}\n/);
});

it("has every metric that the Grafana dashboard asks for", async () => {
  const { inject } = await measured();
  const { text } = await inject("GET", "/metrics");
  const file = readFileSync(join(import.meta.dirname, "../../scripts/grafana/dropless.json"), "utf8");
  const dashboard: { panels: { targets?: { expr: string }[] }[] } = JSON.parse(file);
  const asked = dashboard.panels
    .flatMap(({ targets = [] }) => targets)
    .flatMap(({ expr }) => expr.match(/\b(?:dropless|process|nodejs)_\w+/g) ?? []);
  const known = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map((match) => match[1]));
  expect(asked.length).toBeGreaterThan(8);
  expect(asked.filter((name) => !known.has(name.replace(/_bucket$/, "")))).toEqual([]);
});
