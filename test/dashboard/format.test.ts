import { expect, it } from "vitest";
import { ago, duration, healthOf, statusLook as look, receiptText } from "../../src/dashboard/page/format.js";
import { endedStatuses } from "../../src/domain/deploy.js";

it("writes durations as people read them", () => {
  expect([0, 850, 1234, 12_345, 59_999, 125_000, 3_780_000, 400_000_000].map(duration)).toEqual([
    "0 ms",
    "850 ms",
    "1.2 s",
    "12 s",
    "60 s",
    "2 min 5 s",
    "1 h 3 min",
    "4 days",
  ]);
  expect([duration(undefined), duration(-5)]).toEqual(["", ""]);
});

it("says how long ago, also when the two clocks differ", () => {
  const now = Date.parse("2026-11-21T12:00:00Z");
  const before = (seconds: number) => ago(new Date(now - seconds * 1000).toISOString(), now);
  expect([-30, 5, 45, 300, 7200, 90_000, 500_000].map(before)).toEqual([
    "just now",
    "just now",
    "45 s ago",
    "5 min ago",
    "2 h ago",
    "yesterday",
    "5 days ago",
  ]);
});

it("has a word and a sign of its own for each status", () => {
  const all = ["queued", "running", ...endedStatuses].map(look);
  expect(new Set(all.map(({ word }) => word)).size).toBe(all.length);
  expect(new Set(all.map(({ sign }) => sign)).size).toBe(all.length);
});

it("tells an app's health from what runs", () => {
  const live = { release: "r" };
  const one = (status: string) => ({ status });
  const word = (app: Parameters<typeof healthOf>[0]) => healthOf(app).word;
  expect(word({ live, instances: [one("online"), one("online")] })).toBe("Healthy: 2 of 2 online");
  expect(word({ live, instances: [one("online"), one("errored")] })).toBe("Degraded: 1 of 2 online");
  expect(word({ live, instances: [one("stopped")] })).toBe("Down: 0 of 1 online");
  expect(word({ live, instances: [] })).toBe("Down: no instance runs");
  expect(word({ live: null, instances: [] })).toBe("Not deployed yet");
  expect(word({ live, instances: [], pm2Error: {} })).toBe("Unknown");
});

it("reads a receipt aloud", () => {
  expect(receiptText({ probes: 4120, failed: 0, maxGapMs: 38 })).toBe(
    "0 of 4,120 probes failed, longest gap 38 ms",
  );
});
