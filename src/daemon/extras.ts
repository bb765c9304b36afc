import { join } from "node:path";
import type { Logger } from "pino";
import { createAuditLog } from "../adapters/audit-log.js";
import { createOriginHead } from "../adapters/origin-head.js";
import { openUsedTokens } from "../adapters/used-tokens.js";
import type { Config } from "../config/schema.js";
import type { Queue } from "../domain/ports.js";
import type { Redactor } from "../domain/redact.js";
import type { Metrics } from "../extras/metrics.js";
import type { HttpDeps } from "../http/deps.js";

interface Deps {
  config: Config;
  queue: Queue;
  logger: Logger;
  redactor: Redactor;
  version: string;
}

type Wanted = NonNullable<Config["github"]>;

/** What a configuration may ask for beyond deploying. */
export interface Extras {
  metrics?: Metrics["read"];
  identify?: HttpDeps["identify"];
  audit?: HttpDeps["audit"];
  /** After `queue.start`. */
  start(): void;
  /** After `queue.stop`, so that what it says at the last is still told. */
  stop(): Promise<void>;
}

/** Only what is configured is loaded: whoever wants none of it has a small daemon. */
export async function createExtras({ config, queue, logger, redactor, version }: Deps): Promise<Extras> {
  const apps = Object.values(config.apps);
  const { publicUrl } = config.server;
  const linkOf = (deploy: string) => publicUrl && `${publicUrl}/#/deploys/${deploy}`;

  async function githubViews({ token, app, installation, privateKey, apiUrl }: Wanted) {
    const { createInstallationToken, fixedToken } = await import("../extras/github-token.js");
    const { createGithubApi } = await import("../extras/github-api.js");
    const { createGithubViews } = await import("../extras/github-views.js");
    const ofApp =
      app !== undefined && installation !== undefined && privateKey !== undefined
        ? createInstallationToken({ app, installation, privateKey, apiUrl })
        : undefined;
    const api = createGithubApi({ token: ofApp ?? fixedToken(token ?? ""), apiUrl });
    return createGithubViews({ apps, queue, api, logger, linkOf });
  }

  const metrics = config.metrics
    ? (await import("../extras/metrics.js")).createMetrics({
        apps: Object.keys(config.apps),
        queue,
        version,
      })
    : undefined;
  const catchUp = config.catchUp
    ? (await import("../extras/catch-up.js")).createCatchUp({
        apps,
        queue,
        originHead: createOriginHead({ dir: join(config.dataDir, "catch-up"), env: process.env }),
        logger,
        everyMs: config.catchUp === true ? undefined : config.catchUp,
      })
    : undefined;
  const views = config.github && (await githubViews(config.github));
  const audit = config.audit
    ? createAuditLog(join(config.dataDir, "audit.ndjson"), (error) =>
        logger.error({ err: error }, "the audit log could not be written"),
      )
    : undefined;
  const used = apps.some(({ oidc }) => oidc)
    ? openUsedTokens(join(config.dataDir, "used-tokens"))
    : undefined;
  const identify = used && (await import("../extras/oidc.js")).createIdentify({ apps, take: used.take });
  const notify =
    config.notify.length > 0
      ? (await import("../extras/notify.js")).createNotify({
          targets: config.notify,
          queue,
          logger,
          linkOf,
          redact: redactor.text,
        })
      : undefined;

  return {
    metrics: metrics?.read,
    identify,
    audit,
    start: () => catchUp?.start(),
    async stop() {
      await Promise.all([catchUp?.stop(), notify?.stop(), views?.stop()]);
      metrics?.close();
      used?.close();
    },
  };
}
