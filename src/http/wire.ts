/** What goes over the wire: the single source of the types both ends use. */
import { z } from "zod";
import { endedStatuses } from "../domain/deploy.js";
import { stepNames } from "../domain/step.js";

const statuses = ["queued", "running", ...endedStatuses] as const;
export const statusSchema = z.enum(statuses);
const stepName = z.enum(stepNames);
const stepStatus = z.enum(["pending", "running", "succeeded", "failed", "skipped"]);
const time = z.string();

const commit = z.object({ sha: z.string(), message: z.string(), author: z.string() });
const explained = z.object({ code: z.string(), message: z.string(), hint: z.string() });
const trigger = z.enum(["push", "request", "workflow_run", "release", "deployment", "manual", "rollback"]);

/** A deploy in a list. */
const summarySchema = z.object({
  id: z.string(),
  app: z.string(),
  status: statusSchema,
  trigger,
  ref: z.string(),
  commit,
  createdAt: time,
  startedAt: time.nullable(),
  finishedAt: time.nullable(),
  /** 1 is next; only while it waits. */
  position: z.number().optional(),
  steps: z.array(
    z.object({
      name: stepName,
      status: stepStatus,
      startedAt: time.optional(),
      durationMs: z.number().optional(),
      /** Of `durationMs`, what dropless itself took. */
      ownMs: z.number().optional(),
      /** Why it was skipped. */
      reason: z.string().optional(),
    }),
  ),
  release: z.string().optional(),
  previous: z.string().optional(),
  receipt: z.object({ probes: z.number(), failed: z.number(), maxGapMs: z.number() }).optional(),
  error: explained.extend({ step: stepName.optional() }).optional(),
  supersededBy: z.string().optional(),
  attempt: z.number(),
  urls: z.object({ self: z.string(), logs: z.string(), events: z.string() }),
});
export type DeploySummary = z.infer<typeof summarySchema>;

/** A deploy by its id. */
export const deploySchema = summarySchema.extend({
  /** The last 50 lines. */
  logTail: z.array(z.string()),
});
export type DeployView = z.infer<typeof deploySchema>;

export const listSchema = z.object({ deploys: z.array(summarySchema), next: z.string().optional() });
export type DeployList = z.infer<typeof listSchema>;

/** 202: the deploy is stored and will happen. */
export const acceptedSchema = z.object({
  id: z.string(),
  app: z.string(),
  status: statusSchema,
  commit,
  position: z.number().optional(),
  url: z.string(),
  /** Reads this deploy and those that supersede it; absent for a duplicate. */
  token: z.string().optional(),
  duplicate: z.literal(true).optional(),
});
export type Accepted = z.infer<typeof acceptedSchema>;

export const appSchema = z.object({
  name: z.string(),
  repository: z.string(),
  branch: z.string(),
  live: z.object({ release: z.string(), commit: z.string(), deploy: z.string(), since: time }).nullable(),
  hold: z.object({ reason: z.string(), by: z.string(), since: time }).nullable(),
  instances: z.array(
    z.object({
      name: z.string(),
      number: z.number(),
      pid: z.number(),
      pmId: z.number(),
      status: z.string(),
      release: z.string().optional(),
      restarts: z.number(),
      uptimeMs: z.number(),
      memoryBytes: z.number(),
    }),
  ),
  /** Why `instances` is empty, when PM2 could not be asked. */
  pm2Error: explained.optional(),
  /** Releases one can go back to, newest first. */
  releases: z.array(
    z.object({ release: z.string(), commit, deploy: z.string(), finishedAt: time, live: z.boolean() }),
  ),
});
export type AppView = z.infer<typeof appSchema>;
export const appsSchema = z.object({ apps: z.array(appSchema) });

export const healthSchema = z.object({ status: z.string(), version: z.string() });
export type Health = z.infer<typeof healthSchema>;

/** RFC 9457, with what dropless adds: `code` for programs, `hint` for people. */
export const problemSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.number(),
  detail: z.string(),
  code: z.string(),
  hint: z.string(),
});
export type Problem = z.infer<typeof problemSchema>;

/** The events of a deploy's stream as they are sent; each has an id of its own. */
export const eventSchemas = {
  log: z.object({
    line: z.number(),
    text: z.string(),
    stream: z.enum(["stdout", "stderr", "dropless"]),
    step: stepName.nullable(),
    time,
  }),
  step: z.object({
    name: stepName,
    status: stepStatus,
    durationMs: z.number().optional(),
    ownMs: z.number().optional(),
    time,
  }),
  status: z.object({ status: statusSchema, time }),
  end: deploySchema,
} as const;

type EventData = { [Name in keyof typeof eventSchemas]: z.infer<(typeof eventSchemas)[Name]> };
export type DeployEvent = {
  [Name in keyof EventData]: { event: Name; id: string; deploy: string; data: EventData[Name] };
}[keyof EventData];
