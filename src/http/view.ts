import type { AppConfig } from "../config/schema.js";
import { type Deploy, isEnded } from "../domain/deploy.js";
import { toFault } from "../domain/fault.js";
import type { Instance, Queue } from "../domain/ports.js";
import { pendingSteps } from "../domain/step.js";
import type { Accepted, AppView, DeploySummary, DeployView } from "./wire.js";

/** The deploy as everybody sees it. `base` is where the daemon is reached from outside. */
export function deploySummary(deploy: Deploy, base: string, position?: number): DeploySummary {
  const self = `${base}/deploys/${deploy.id}`;
  const started = deploy.status === "queued" ? undefined : deploy;
  const ended = isEnded(deploy) ? deploy : undefined;
  return {
    id: deploy.id,
    app: deploy.app,
    status: deploy.status,
    trigger: deploy.trigger,
    ref: deploy.ref,
    commit: deploy.commit,
    createdAt: deploy.createdAt,
    startedAt: started?.startedAt ?? null,
    finishedAt: ended?.finishedAt ?? null,
    position: deploy.status === "queued" ? position : undefined,
    steps: started?.steps ?? pendingSteps(),
    release: started?.release,
    previous: started?.previous,
    receipt: started?.receipt,
    error: ended?.error,
    supersededBy: ended?.supersededBy,
    attempt: deploy.attempt,
    urls: { self, logs: `${self}/logs`, events: `${self}/events` },
  };
}

export const deployView = (summary: DeploySummary, logTail: string[]): DeployView => ({
  ...summary,
  logTail,
});

export const accepted = (deploy: Deploy, base: string, more: Partial<Accepted>): Accepted => ({
  id: deploy.id,
  app: deploy.app,
  status: deploy.status,
  commit: deploy.commit,
  url: `${base}/deploys/${deploy.id}`,
  ...more,
});

/** Deploys that built a release which is still there, newest first: what one can roll back to. */
export function builtReleases(
  queue: Pick<Queue, "succeeded">,
  app: string,
  onDisk: string[],
): (Deploy & { release: string })[] {
  const there = new Set(onDisk);
  return queue
    .succeeded(app, onDisk)
    .filter((deploy): deploy is Deploy & { release: string } => {
      const release = deploy.status === "queued" ? undefined : deploy.release;
      return deploy.trigger !== "rollback" && release !== undefined && there.has(release);
    })
    .sort((a, b) => (a.id < b.id ? 1 : -1));
}

const byNameAndNumber = (a: Instance, b: Instance): number =>
  a.name === b.name ? a.number - b.number || a.pmId - b.pmId : a.name < b.name ? -1 : 1;

const withoutCredentials = (repository: string): string => repository.replace(/(\/\/)[^/@]*@/, "$1");

export interface AppSources {
  queue: Pick<Queue, "app" | "succeeded">;
  /** What PM2 runs for an app. */
  instances(app: AppConfig): Promise<Instance[]>;
  /** Names of the release directories of an app. */
  releasesOf(app: AppConfig): Promise<string[]>;
}

export async function appView(
  app: AppConfig,
  { queue, instances, releasesOf }: AppSources,
): Promise<AppView> {
  const { live, hold } = queue.app(app.name);
  const running = await instances(app).then(
    (list) => ({ list, fault: undefined }),
    (error: unknown) => ({ list: [], fault: toFault(error) }),
  );
  const built = builtReleases(queue, app.name, await releasesOf(app));
  return {
    name: app.name,
    repository: withoutCredentials(app.repository),
    branch: app.branch,
    live: live ? { release: live.release, commit: live.sha, deploy: live.deploy, since: live.since } : null,
    hold: hold ?? null,
    // PM2's order is that of their starts, which changes with each deploy.
    instances: running.list
      .toSorted(byNameAndNumber)
      .map(({ name, number, pid, pmId, status, release, restarts, uptimeMs, memoryBytes }) => ({
        name,
        number,
        pid,
        pmId,
        status,
        release,
        restarts,
        uptimeMs,
        memoryBytes,
      })),
    pm2Error: running.fault && {
      code: running.fault.code,
      message: running.fault.message,
      hint: running.fault.hint,
    },
    releases: built.map((deploy) => ({
      release: deploy.release,
      commit: deploy.commit,
      deploy: deploy.id,
      finishedAt: isEnded(deploy) ? deploy.finishedAt : deploy.createdAt,
      live: deploy.release === live?.release,
    })),
  };
}
