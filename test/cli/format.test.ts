import { describe, expect, it } from "vitest";
import { exitOfFault, exitOfStatus } from "../../src/cli/exit.js";
import { ago, bytes, duration, shortRef, table } from "../../src/cli/format.js";

describe("durations", () => {
  it.each([
    [0, "0ms"],
    [340, "340ms"],
    [4200, "4.2s"],
    [59_960, "1m 00s"],
    [63_000, "1m 03s"],
    [3_599_600, "1h 00m"],
    [7_500_000, "2h 05m"],
    [260_000_000, "3 days"],
  ])("%i ms is %s", (ms, text) => expect(duration(ms)).toBe(text));
});

describe("other formats", () => {
  const now = Date.parse("2026-01-02T00:00:00Z");
  it.each([
    ["2026-01-01T23:59:59Z", "now"],
    ["2026-01-01T23:59:18Z", "42s"],
    ["2026-01-01T23:10:00Z", "50m"],
    ["2026-01-01T03:00:00Z", "21h"],
    ["2025-12-24T00:00:00Z", "9d"],
    ["2026-01-02T00:10:00Z", "now"],
  ])("%s was %s ago", (time, text) => expect(ago(time, now)).toBe(text));

  it("bytes and refs", () => {
    expect([bytes(12), bytes(2048), bytes(73_400_320)]).toEqual(["12 B", "2.0 KB", "70 MB"]);
    expect([shortRef("refs/heads/feat/x"), shortRef("v1")]).toEqual(["feat/x", "v1"]);
  });

  it("a table is as wide as it must be, whatever the colours", () => {
    expect(
      table([
        ["a", "bb", "c"],
        ["\x1b[31maaa\x1b[39m", "b", ""],
      ]),
    ).toEqual(["a    bb  c", "\x1b[31maaa\x1b[39m  b"]);
  });
});

describe("exit codes", () => {
  it("0 for done or skipped, 1 for every other end", () => {
    expect([exitOfStatus("succeeded"), exitOfStatus("skipped")]).toEqual([0, 0]);
    for (const status of ["failed", "rolled_back", "rollback_failed", "canceled", "superseded"] as const)
      expect(exitOfStatus(status)).toBe(1);
  });

  it("2 for what was asked wrongly, 3 without a daemon, 1 for the rest", () => {
    expect(["usage", "config_invalid", "not_found"].map(exitOfFault)).toEqual([2, 2, 2]);
    expect([exitOfFault("no_daemon"), exitOfFault("held"), exitOfFault("internal")]).toEqual([3, 1, 1]);
  });
});
