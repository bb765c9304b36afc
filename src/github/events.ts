import { z } from "zod";
import type { Trigger } from "../domain/deploy.js";
import { isRefName, isSha } from "../domain/ref.js";
import { plainText } from "../domain/text.js";

/** What one event says, whichever it was. */
export interface Happening {
  trigger: Trigger;
  /** `acme/api` */
  repository: string;
  ref: string;
  /** Empty when only the ref is known. */
  sha: string;
  message: string;
  author: string;
  /** The branch it is about, when it tells. */
  branch?: string;
  /** File of the workflow that ran. */
  workflow?: string;
  /** Only for this app of the repository. */
  app?: string;
}

/** An event is about a commit, or says why nothing is to be done. */
export type Told = Happening | { ignored: string };

const sha = z.string().toLowerCase().refine(isSha, "is not 40 or 64 hex digits");
const ref = z.string().refine(isRefName, "is not a name git accepts");
const fullName = z
  .string()
  .max(200)
  .regex(/^[\w.-]+\/[\w.-]+$/, "is not owner/name");
const repository = z.object({ full_name: fullName });
const text = (most: number) => z.string().transform((value) => plainText(value, most));
const message = text(1000);
const author = text(100);
const headCommit = z
  .object({ message: message.nullish(), author: z.object({ name: author.nullish() }).nullish() })
  .nullish();

const commitOf = (commit: z.output<typeof headCommit>) => ({
  message: commit?.message ?? "",
  author: commit?.author?.name ?? "",
});

const branchOf = (name: string): string | undefined =>
  name.startsWith("refs/heads/") ? name.slice("refs/heads/".length) : undefined;

const event = <Schema extends z.ZodType>(schema: Schema, read: (payload: z.output<Schema>) => Told) => ({
  schema,
  read: (payload: unknown): Told => read(schema.parse(payload)),
});

const push = event(
  z.object({ ref, after: sha, deleted: z.boolean().nullish(), head_commit: headCommit, repository }),
  (payload) => {
    const branch = branchOf(payload.ref);
    if (!branch) return { ignored: "not a push to a branch" };
    if (payload.deleted || /^0+$/.test(payload.after)) return { ignored: "the branch was deleted" };
    return {
      trigger: "push",
      repository: payload.repository.full_name,
      ref: payload.ref,
      sha: payload.after,
      branch,
      ...commitOf(payload.head_commit),
    };
  },
);

const workflowRun = event(
  z.object({
    action: z.string(),
    repository,
    workflow_run: z.object({
      head_branch: ref.nullish(),
      head_sha: sha,
      event: z.string(),
      conclusion: z.string().nullish(),
      path: z.string().max(500),
      head_repository: z.object({ full_name: z.string() }).nullish(),
      head_commit: headCommit,
    }),
  }),
  ({ action, repository, workflow_run: run }) => {
    const home = repository.full_name.toLowerCase();
    if (action !== "completed") return { ignored: "the workflow has not completed" };
    if (run.conclusion !== "success") return { ignored: "the workflow was not successful" };
    if (run.event !== "push") return { ignored: "the workflow did not run for a push" };
    if (run.head_repository?.full_name.toLowerCase() !== home)
      return { ignored: "the workflow ran for a fork" };
    if (!run.head_branch) return { ignored: "the workflow ran for no branch" };
    return {
      trigger: "workflow_run",
      repository: repository.full_name,
      ref: `refs/heads/${run.head_branch}`,
      sha: run.head_sha,
      branch: run.head_branch,
      // `.github/workflows/ci.yml`, in some events followed by `@<ref>`.
      workflow: run.path.replace(/@.*$/, ""),
      ...commitOf(run.head_commit),
    };
  },
);

const release = event(
  z.object({
    action: z.string(),
    repository,
    release: z.object({
      tag_name: ref,
      target_commitish: z.string().max(250),
      draft: z.boolean().nullish(),
      prerelease: z.boolean().nullish(),
      name: message.nullish(),
      author: z.object({ login: author.nullish() }).nullish(),
    }),
  }),
  ({ action, repository, release: made }) => {
    // GitHub sends `created` and `released` for the same release too.
    if (action !== "published") return { ignored: "the release was not published by this event" };
    if (made.draft || made.prerelease) return { ignored: "the release is a draft or a pre-release" };
    return {
      trigger: "release",
      repository: repository.full_name,
      // Where the tag points is the tag's to say: target_commitish is only what a missing tag was made from.
      ref: `refs/tags/${made.tag_name}`,
      sha: "",
      branch: isSha(made.target_commitish) ? undefined : made.target_commitish,
      message: made.name ?? "",
      author: made.author?.login ?? "",
    };
  },
);

/** `ref` of a deployment is a branch, a tag or a sha without telling which: only these are surely not branches. */
const surelyNoBranch = (name: string): boolean =>
  isSha(name) || name.startsWith("refs/tags/") || /^v?\d+\.\d/.test(name);

const deployment = event(
  z.object({
    action: z.string().nullish(),
    repository,
    deployment: z.object({
      sha,
      ref,
      description: message.nullish(),
      payload: z.unknown(),
      creator: z.object({ login: author.nullish() }).nullish(),
    }),
  }),
  ({ action, repository, deployment: made }) => {
    if (action && action !== "created") return { ignored: "the deployment was not created by this event" };
    if (JSON.stringify(made.payload ?? "").includes('"dropless"'))
      return { ignored: "dropless created this deployment itself" };
    return {
      trigger: "deployment",
      repository: repository.full_name,
      ref: made.ref,
      sha: made.sha,
      branch: surelyNoBranch(made.ref) ? undefined : (branchOf(made.ref) ?? made.ref),
      message: made.description ?? "",
      author: made.creator?.login ?? "",
    };
  },
);

/** What a job of GitHub Actions sends, without an event's name. */
export const actionsRequest = event(
  z.object({
    repository: fullName,
    ref,
    sha,
    app: z.string().max(64).nullish(),
    message: message.nullish(),
    author: author.nullish(),
  }),
  (payload) => ({
    trigger: "request",
    repository: payload.repository,
    ref: payload.ref,
    sha: payload.sha,
    branch: branchOf(payload.ref) ?? (payload.ref.startsWith("refs/") ? undefined : payload.ref),
    app: payload.app ?? undefined,
    message: payload.message ?? "",
    author: payload.author ?? "",
  }),
);

const events = new Map(Object.entries({ push, workflow_run: workflowRun, release, deployment }));

/** The reader of an event by its name in X-GitHub-Event, if dropless acts on it. */
export const eventNamed = (name: string) => events.get(name);
