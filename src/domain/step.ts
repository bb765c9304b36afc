export const stepNames = [
  "fetch",
  "install",
  "build",
  "migrate",
  "preflight",
  "rollout",
  "activate",
  "watch",
  "prune",
] as const;
export type StepName = (typeof stepNames)[number];
export type StepStatus = "pending" | "running" | "succeeded" | "failed" | "skipped";

export interface Step {
  name: StepName;
  status: StepStatus;
  startedAt?: string;
  durationMs?: number;
  /** Of `durationMs`, what dropless itself took: without commands, git, boots, drains and configured waits. */
  ownMs?: number;
  /** Of a skipped one: why, as a sentence without its full stop. */
  reason?: string;
}

export const pendingSteps = (): Step[] => stepNames.map((name) => ({ name, status: "pending" }));
