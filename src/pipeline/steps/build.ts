import { command } from "../commands.js";
import { type Context, releaseOf, type Step, type StepResult } from "../context.js";
import { finish } from "../finish.js";
import { readPackages } from "../packages.js";

async function run(context: Context): Promise<StepResult> {
  const { app, base } = context;
  const release = releaseOf(context);
  const work = {
    what: "build",
    env: { ...base, ...app.buildEnv },
    timeoutMs: app.timeouts.build,
    nice: true,
  } as const;
  let built = false;
  if (app.build === "auto") {
    const packages = readPackages(release.path, app.directory, base.PATH ?? "");
    if (packages?.hasBuild) {
      await command(context, packages.build, { ...work, cwd: packages.dir });
      built = true;
    }
  } else if (app.build !== false) {
    await command(context, app.build, { ...work, cwd: release.path });
    built = true;
  }
  // A migration may need tools that are development dependencies: then they go after it.
  if (app.migrate === undefined) await finish(context);
  return built ? undefined : "skipped";
}

export const buildStep: Step = { name: "build", run };
