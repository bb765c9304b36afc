import { command } from "../commands.js";
import { isCopied } from "../content.js";
import { type Context, io, releaseOf, type Step, type StepResult } from "../context.js";
import { finish } from "../finish.js";
import { type Packages, readPackages } from "../packages.js";

/** Why there is nothing to build; undefined when there is. */
function whyNot(context: Context, packages: Packages | undefined): string | undefined {
  const { build } = context.app;
  if (isCopied(releaseOf(context))) return "the earlier release it is a copy of was built";
  if (build === false) return "`build` is false";
  if (build !== "auto" || packages?.hasBuild) return undefined;
  return packages ? "package.json has no script `build`" : "there is no package.json";
}

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
  const idle = whyNot(context, packages);
  const line = app.build === "auto" ? packages?.build : app.build;
  if (line && idle === undefined) {
    await buildCache.bring(release, io(context));
    await command(context, line, { ...work, cwd: packages?.dir ?? release.path });
    await buildCache.save(release, recorder.deploy.id, io(context));
  }
  // A migration may need tools that are development dependencies: then they go after it.
  if (app.migrate === undefined) await finish(context);
  return idle === undefined ? undefined : { skipped: `Nothing to build: ${idle}` };
}

export const buildStep: Step = { name: "build", run };
