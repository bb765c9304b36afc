import type { Logger } from "pino";
import type { AppConfig } from "../config/schema.js";
import type { Deploy, EndedStatus } from "../domain/deploy.js";
import type { Queue } from "../domain/ports.js";
import { fullNameOf } from "../github/payload.js";
import type { DeploymentState, GithubApi } from "./github-api.js";

export interface GithubViewsDeps {
  apps: Pick<AppConfig, "name" | "repository">[];
  queue: Pick<Queue, "subscribe">;
  api: GithubApi;
  logger: Pick<Logger, "warn">;
  linkOf(deploy: string): string | undefined;
  /** Between the attempts of one call, milliseconds. */
  pausesMs?: number[];
}

/** GitHub's limit for a description, characters. */
const mostDescription = 140;

/** How long a daemon that stops lets reports be finished, milliseconds. */
const graceMs = 3_000;

const states: Record<EndedStatus, DeploymentState> = {
  succeeded: "success",
  failed: "failure",
  rolled_back: "failure",
  rollback_failed: "error",
  // None of them is live by this deploy, and none has failed.
  canceled: "inactive",
  skipped: "inactive",
  superseded: "inactive",
};

/** A local path is no repository of GitHub's. */
const isRemote = (repository: string): boolean =>
  /^(https?|ssh|git):\/\//.test(repository) || /^[^/\\]+:(?!\\)/.test(repository);

interface Shown {
  /** What was last said to GitHub, or is about to be. */
  state: DeploymentState;
  /** Each report waits for the one before: the order is what people see. */
  last: Promise<number | undefined>;
}

/**
 * Shows each deploy as a deployment with its statuses on GitHub: at the commit, its pull request, and under
 * Environments (one for each app). It begins when the fetch has said that the commit is to be deployed. Reports
 * never fail or delay a deploy; what GitHub does not take is a warning.
 */
export function createGithubViews({ apps, queue, api, logger, linkOf, pausesMs }: GithubViewsDeps) {
  const stopping = new AbortController();
  const options = { signal: stopping.signal, pausesMs };
  const shown = new Map<string, Shown>();
  const repositories = new Map(
    apps
      .filter(({ repository }) => isRemote(repository))
      .map((app) => [app.name, fullNameOf(app.repository)]),
  );

  /** What GitHub is to be told now; nothing before there is something to tell. */
  function stateOf(deploy: Deploy): DeploymentState | undefined {
    if (deploy.status === "queued") return undefined;
    if (deploy.status !== "running") return shown.has(deploy.id) ? states[deploy.status] : undefined;
    const fetched = deploy.steps.some(({ name, status }) => name === "fetch" && status === "succeeded");
    // A rollback fetches nothing; what it goes back to is known from its start.
    return fetched || deploy.trigger === "rollback" ? "in_progress" : undefined;
  }

  const describe = (deploy: Deploy): string => {
    const error = "error" in deploy ? deploy.error : undefined;
    const text = error ? `${deploy.status}: ${error.message}` : `dropless: ${deploy.status}`;
    return text.length <= mostDescription ? text : `${text.slice(0, mostDescription - 1)}…`;
  };

  async function report(
    repository: string,
    deploy: Deploy,
    state: DeploymentState,
    before: Promise<number | undefined> | undefined,
  ): Promise<number | undefined> {
    const { id: own, app: environment, trigger, commit } = deploy;
    let id = await before;
    try {
      // Created once: when that has failed, the deploy's later states have nothing to belong to.
      if (id === undefined && before === undefined) {
        const made = { sha: commit.sha, environment, description: `dropless, by ${trigger}`, deploy: own };
        id = (await api.find(repository, made, options)) ?? (await api.create(repository, made, options));
      }
      if (id === undefined) return undefined;
      const description = describe(deploy);
      await api.status(repository, id, { state, description, log_url: linkOf(own) }, options);
    } catch (error) {
      const reason = stopping.signal.aborted ? "the daemon stopped" : (error as Error).message;
      logger.warn({ deploy: own, app: environment, state, reason }, "GitHub was not told of a deploy");
    }
    return id;
  }

  const tell = (deploy: Deploy): void => {
    const repository = repositories.get(deploy.app);
    const state = stateOf(deploy);
    const earlier = shown.get(deploy.id);
    if (!repository || !state || earlier?.state === state || deploy.commit.sha === "") return;
    const last = report(repository, deploy, state, earlier?.last);
    shown.set(deploy.id, { state, last });
    if (deploy.status === "running") return;
    // Only the deploys that run are remembered.
    void last.then(() => shown.delete(deploy.id));
  };
  const unsubscribe = queue.subscribe(tell);

  return {
    async stop(): Promise<void> {
      unsubscribe();
      const timer = setTimeout(() => stopping.abort(), graceMs);
      await Promise.all([...shown.values()].map(({ last }) => last));
      clearTimeout(timer);
    },
  };
}
