import type { Receipt } from "./receipt.js";
import type { Step, StepName } from "./step.js";

/** Why a deploy exists: a kind of delivery, or a person. */
export type Trigger = "push" | "request" | "workflow_run" | "release" | "deployment" | "manual" | "rollback";

/** Asked for by a person, through a token or the command line; these are never `skipped`. */
export const isByPerson = (trigger: Trigger): boolean => trigger === "manual" || trigger === "rollback";

export interface Commit {
  /** 40 (or 64) hex digits; empty until the fetch has resolved a ref. */
  sha: string;
  message: string;
  author: string;
}

export interface DeployError {
  code: string;
  message: string;
  hint: string;
  step?: StepName;
}

export const endedStatuses = [
  "succeeded",
  "failed",
  "rolled_back",
  "rollback_failed",
  "superseded",
  "canceled",
  "skipped",
] as const;
export type EndedStatus = (typeof endedStatuses)[number];
export type DeployStatus = "queued" | "running" | EndedStatus;

interface Facts {
  id: string;
  app: string;
  trigger: Trigger;
  /** What was asked for: `refs/heads/main`, a tag, a sha; for a rollback the release's name. */
  ref: string;
  commit: Commit;
  /**
   * Every sha this deploy stands for: its own and, while it runs, those of the deploys that it superseded while
   * it waited (a burst makes thousands). Newest delivery first. A person's deploy carries them on for
   * those that supersede it, and deploys what was asked for nevertheless.
   */
  standsFor: string[];
  /** ISO 8601, UTC, milliseconds. */
  createdAt: string;
  /** 1 for the first; a repeat of a failed delivery counts on. */
  attempt: number;
  /** The deploy this one repeats (Redeliver of a delivery whose deploy failed). */
  repeats?: string;
}

/** What a deploy has gathered once it was started. */
interface Started {
  startedAt: string;
  steps: Step[];
  /** Name of the release directory, once there is one. */
  release?: string;
  /** Name of the release that was live before. */
  previous?: string;
  receipt?: Receipt;
  /**
   * Set durably before anything is done about it: `forward`, this release is the live one, whatever happens
   * after; `back`, the previous one is to be put back. A restart after a crash goes on in that direction.
   */
  decision?: "forward" | "back";
  /** How often a restart has taken it up without its having come further than `progress`; see resumes.ts. */
  resumes?: { count: number; progress: number };
}

export type Queued = Facts & { status: "queued" };
export type Running = Facts & Started & { status: "running"; cancelRequested?: boolean };
export type Ended = Facts &
  Partial<Started> & {
    status: EndedStatus;
    finishedAt: string;
    /** For `skipped`, `canceled` and every kind of failure: why. */
    error?: DeployError;
    supersededBy?: string;
  };
export type Deploy = Queued | Running | Ended;

export const isEnded = (deploy: Deploy): deploy is Ended =>
  deploy.status !== "queued" && deploy.status !== "running";

/** What the pipeline says at the end; the queue settles it. */
export type Outcome =
  | { status: "succeeded" }
  | { status: Exclude<EndedStatus, "succeeded" | "superseded">; error: DeployError };
