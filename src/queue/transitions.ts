/** The state machine of a deploy: queued → running → ended, or queued → ended. Pure; the types allow no other way. */
import type { DeployError, Ended, Outcome, Queued, Running } from "../domain/deploy.js";
import type { DeployRequest } from "../domain/request.js";
import { pendingSteps, type Step, type StepName, type StepStatus } from "../domain/step.js";

type At = number;
const iso = (at: At): string => new Date(at).toISOString();

export const queued = (
  id: string,
  request: DeployRequest,
  at: At,
  repeated?: { id: string; attempt: number },
): Queued => ({
  id,
  app: request.app,
  status: "queued",
  trigger: request.trigger,
  ref: request.ref,
  commit: request.commit,
  standsFor: request.commit.sha === "" ? [] : [request.commit.sha],
  createdAt: iso(at),
  attempt: (repeated?.attempt ?? 0) + 1,
  ...(repeated && { repeats: repeated.id }),
});

export const started = (deploy: Queued, standsFor: string[], at: At): Running => ({
  ...deploy,
  status: "running",
  standsFor,
  startedAt: iso(at),
  steps: pendingSteps(),
});

/** Of a flood all but one become this, and Node 20 takes ten times as long to write what is added behind a spread. */
export const superseded = (deploy: Queued, by: string, at: At): Ended =>
  Object.assign({}, deploy, { status: "superseded" as const, supersededBy: by, finishedAt: iso(at) });

/** Ended before it ran. */
export const canceled = (deploy: Queued, error: DeployError, at: At): Ended => ({
  ...deploy,
  status: "canceled",
  error,
  finishedAt: iso(at),
});

/** A step that still ran when everything ended has not succeeded. */
const closeStep = (step: Step): Step => (step.status === "running" ? { ...step, status: "failed" } : step);

export const settled = (deploy: Running, outcome: Outcome, at: At): Ended => {
  const { cancelRequested: _, resumes: __, ...facts } = deploy;
  return { ...facts, ...outcome, steps: deploy.steps.map(closeStep), finishedAt: iso(at) };
};

/**
 * A step's new status. Its time counts from the last time it was begun: one that a restart of the daemon has
 * interrupted did not run while the daemon was down.
 */
export const withStep = (
  deploy: Running,
  name: StepName,
  status: StepStatus,
  at: At,
  waitedMs?: number,
  reason?: string,
): Running => ({
  ...deploy,
  steps: deploy.steps.map((found): Step => {
    if (found.name !== name) return found;
    const step = reason === undefined ? found : { ...found, reason };
    if (status === "running") return { name, status, startedAt: iso(at) };
    if (step.startedAt === undefined || step.status !== "running") return { ...step, status };
    // Clocks jump backwards; no step has taken less than nothing.
    const durationMs = Math.max(0, at - Date.parse(step.startedAt));
    if (waitedMs === undefined) return { ...step, status, durationMs };
    return { ...step, status, durationMs, ownMs: Math.max(0, durationMs - Math.round(waitedMs)) };
  }),
});
