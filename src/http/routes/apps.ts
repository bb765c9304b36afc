import type { FastifyInstance } from "fastify";
import { z } from "zod";
import type { AppConfig } from "../../config/schema.js";
import { Fault } from "../../domain/fault.js";
import { plainText } from "../../domain/text.js";
import type { HttpDeps } from "../deps.js";
import { appOf, baseUrl, checked } from "../request.js";
import { accepted, appView, builtReleases } from "../view.js";

export const rollbackBody = z.strictObject({ release: z.string().max(64).optional() });
export const holdBody = z.strictObject({
  reason: z
    .string()
    .transform((text) => plainText(text, 500))
    .refine((text) => text !== "", "say why"),
});

type ByApp = { Params: { app: string } };

export function appRoutes(server: FastifyInstance, deps: HttpDeps) {
  const { config, queue, releasesOf } = deps;

  /** The release that was asked for, or the newest succeeded one older than the live one. */
  const target = async (app: AppConfig, asked: string | undefined) => {
    const built = builtReleases(queue, app.name, await releasesOf(app));
    const { live } = queue.app(app.name);
    const names = built.map(({ release }) => release);
    if (asked !== undefined) {
      const found = built.find(({ release }) => release === asked);
      if (found) return found;
      throw new Fault(
        "release_unknown",
        `${app.name} has no succeeded release of this name`,
        names.length > 0 ? `There are: ${names.join(", ")}.` : "It has none to go back to yet.",
      );
    }
    // By the deploys that built them: their ids sort by time even when the clock has jumped.
    const liveBuild = built.find(({ release }) => release === live?.release);
    const older = built.find((deploy) =>
      liveBuild
        ? deploy.id < liveBuild.id && deploy.release !== live?.release
        : live && deploy.release < live.release,
    );
    if (older) return older;
    const others = names.filter((name) => name !== live?.release);
    throw new Fault(
      "nothing_to_roll_back_to",
      `${app.name} has no succeeded release older than the live one`,
      others.length > 0
        ? `Name one of the others: ${others.join(", ")}.`
        : "Deploy a good commit instead; `keep` says how many releases stay.",
    );
  };

  server.get("/apps", { config: { access: "read" } }, async () => ({
    apps: await Promise.all(Object.values(config.apps).map((app) => appView(app, deps))),
  }));

  server.get<ByApp>("/apps/:app", { config: { access: "read" } }, async (request) =>
    appView(appOf(config, request.params.app), deps),
  );

  server.post<ByApp>("/apps/:app/rollback", { config: { access: "deploy" } }, async (request, reply) => {
    const app = appOf(config, request.params.app);
    const { release } = checked(rollbackBody, request.body);
    const to = await target(app, release);
    const submission = queue.ask({ app: app.name, trigger: "rollback", ref: to.release, commit: to.commit });
    if (submission.kind === "held")
      throw new Fault(
        "held",
        `${app.name} is on hold: ${submission.reason}`,
        `\`dropless resume ${app.name}\` releases it.`,
      );
    const more =
      submission.kind === "queued" ? { position: submission.position, token: submission.token } : {};
    return reply.code(202).send(accepted(submission.deploy, baseUrl(config, request), more));
  });

  server.put<ByApp>("/apps/:app/hold", { config: { access: "deploy" } }, async (request) => {
    const app = appOf(config, request.params.app);
    queue.hold(app.name, checked(holdBody, request.body).reason, request.caller?.name ?? "somebody");
    return appView(app, deps);
  });

  server.delete<ByApp>("/apps/:app/hold", { config: { access: "deploy" } }, async (request) => {
    const app = appOf(config, request.params.app);
    queue.resume(app.name);
    return appView(app, deps);
  });
}
