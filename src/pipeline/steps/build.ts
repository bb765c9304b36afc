import { command } from "../commands.js";
import { isCopied } from "../content.js";
import { type Context, io, releaseOf, type Step, type StepResult } from "../context.js";
import { finish } from "../finish.js";
import { readPackages } from "../packages.js";

async function run(context: Context): Promise<StepResult> {
  const { app, base, buildCache, recorder } = context;
  const release = releaseOf(context);
  const work = {
    what: "build",
    // Not one of its lines is about this build.
    env: { npm_config_update_notifier: "false", ...base, ...app.buildEnv },
    timeoutMs: app.timeouts.build,
    nice: true,
  } as const;
  const packages =
    app.build === "auto" ? readPackages(release.path, app.directory, base.PATH ?? "") : undefined;
  const line =
    !isCopied(release) && (app.build === "auto" ? packages?.hasBuild && packages.build : app.build);
  if (line) {
    await buildCache.bring(release, io(context));
    await command(context, line, { ...work, cwd: packages?.dir ?? release.path });
    await buildCache.save(release, recorder.deploy.id, io(context));
  }
  // A migration may need tools that are development dependencies: then they go after it.
  if (app.migrate === undefined) await finish(context);
  return line ? undefined : "skipped";
}

export const buildStep: Step = { name: "build", run };
