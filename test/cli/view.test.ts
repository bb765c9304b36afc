import { describe, expect, it } from "vitest";
import { createTerminal, type Io } from "../../src/cli/terminal.js";
import { outcomeLines } from "../../src/cli/view/outcome.js";
import { createView } from "../../src/cli/view/view.js";
import type { DeployEvent, DeployView } from "../../src/http/wire.js";

const deploy = (more: Partial<DeployView> = {}): DeployView => ({
  id: "d1",
  app: "api",
  status: "running",
  trigger: "push",
  ref: "refs/heads/main",
  commit: { sha: "ab12cd34".repeat(5), message: "Fix it\n\nwell", author: "Ada" },
  createdAt: "2026-01-01T00:00:00.000Z",
  startedAt: "2026-01-01T00:00:01.000Z",
  finishedAt: null,
  steps: [],
  attempt: 1,
  logTail: [],
  urls: { self: "", logs: "", events: "" },
  ...more,
});
const log = (text: string): DeployEvent => ({
  event: "log",
  id: "1",
  deploy: "d1",
  data: { line: 1, text, stream: "stdout", step: "build", time: "" },
});
const step = (
  status: "running" | "succeeded" | "skipped",
  durationMs?: number,
  ownMs?: number,
): DeployEvent => ({
  event: "step",
  id: "2",
  deploy: "d1",
  data: { name: "build", status, durationMs, ownMs, time: "2026-01-01T00:00:01.000Z" },
});
const succeeded = deploy({
  status: "succeeded",
  finishedAt: "2026-01-01T00:00:11.000Z",
  release: "20260101T000000-ab12cd3",
  receipt: { probes: 90, failed: 0, maxGapMs: 40 },
});

function terminal(options: { isTTY?: boolean; env?: NodeJS.ProcessEnv } = {}) {
  let text = "";
  const io: Io = {
    stdout: { write: (more) => (text += more), isTTY: options.isTTY ?? false, columns: 60 },
    stderr: { write: (more) => (text += more) },
    env: options.env ?? {},
    cwd: "/",
  };
  return { t: createTerminal(io), written: () => text };
}

describe("where nobody watches", () => {
  it("is plain lines, without colour or movement, whatever a build prints", () => {
    const { t, written } = terminal();
    const view = createView(t);
    view.begin(deploy());
    for (const event of [
      step("running"),
      log("\x1b[31mred\x1b[0m \x1b[2Jgone"),
      step("succeeded", 4200, 130),
    ])
      view.event(event);
    const steps = [{ name: "build", status: "succeeded", durationMs: 4200, ownMs: 130 } as const];
    view.end({ ...succeeded, steps });
    expect(written().split("\n")).toEqual([
      '==> deploy d1 of api: ab12cd3 "Fix it"',
      "--> build",
      "    red gone",
      "<-- build succeeded in 4.2s (own 0.1s)",
      "",
      '✔ api is live: ab12cd3 "Fix it" in 10.0s (own 0.1s)',
      "  release  20260101T000000-ab12cd3",
      "  receipt  90 requests probed, 0 failed, longest gap 40ms",
      "  log      dropless logs d1",
      "",
    ]);
  });
});

describe("at a terminal", () => {
  it("keeps finished steps and lines, and takes its footer and the hidden cursor back at the end", () => {
    const { t, written } = terminal({ isTTY: true });
    const view = createView(t);
    view.begin(deploy());
    for (const event of [step("running"), log("hello"), step("succeeded", 4200)]) view.event(event);
    view.end(succeeded);
    const text = written();
    expect(text.startsWith("\x1b[?25l")).toBe(true);
    expect(text.endsWith("\x1b[?25h")).toBe(true);
    expect(text).toMatch(/hello[\s\S]*✔[\s\S]*build[\s\S]*is live/);
    expect(text).not.toContain("working");
  });

  it("NO_COLOR takes the colours and nothing else", () => {
    const { t, written } = terminal({ isTTY: true, env: { NO_COLOR: "1" } });
    const view = createView(t);
    view.begin(deploy());
    view.event(log("\x1b[31mred"));
    view.end(succeeded);
    expect(written()).not.toMatch(/\x1b\[[\d;]*m/);
    expect(written()).toContain("red");
  });
});

describe("the last word on a deploy", () => {
  const say = (more: Partial<DeployView>) => outcomeLines(deploy(more), terminal().t);
  const error = {
    code: "unhealthy",
    message: "It answers 500",
    hint: "Mend it.",
    step: "preflight",
  } as const;

  it.each([
    ["failed", "✘ api was not deployed at preflight — users saw nothing of it"],
    ["rolled_back", "✘ api was rolled back at preflight — the release before it serves again"],
    ["rollback_failed", "✘ api failed at preflight — and it could not be rolled back: the app is on hold"],
    ["canceled", '✘ api was canceled: ab12cd3 "Fix it"'],
    ["skipped", "○ api needed no deploy"],
  ] as const)("%s", (status, first) => {
    expect(say({ status, error }).slice(0, 3)).toEqual([
      first,
      "  It answers 500 [unhealthy]",
      "  → Mend it.",
    ]);
  });

  it("claims nothing that the probe did not see", () => {
    const [first] = say({ status: "failed", error, receipt: { probes: 9, failed: 1, maxGapMs: 90 } });
    expect(first).toBe("✘ api was not deployed at preflight — what served before serves on");
  });

  it("a receipt with failures says so", () => {
    expect(say({ ...succeeded, receipt: { probes: 9, failed: 2, maxGapMs: 1500 } }).join("\n")).toContain(
      "9 requests probed, 2 failed, longest gap 1.5s",
    );
  });
});
