import { Fault } from "../../domain/fault.js";
import { command } from "../commands.js";
import { type Context, releaseOf, type Step, type StepResult } from "../context.js";
import { readPackages } from "../packages.js";
import { provideTool } from "../tools.js";

/** Without NODE_ENV, which would make package managers leave out what the build needs. */
export function installEnv({ app, base }: Context): Record<string, string> {
  const { NODE_ENV: _, ...env } = { ...base, ...app.buildEnv };
  // A yarn or pnpm on PATH may be corepack's, which would ask before it fetches.
  return { COREPACK_ENABLE_DOWNLOAD_PROMPT: "0", npm_config_update_notifier: "false", ...env };
}

async function run(context: Context): Promise<StepResult> {
  const { app, base, log } = context;
  const release = releaseOf(context);
  const work = {
    what: "install",
    env: installEnv(context),
    timeoutMs: app.timeouts.install,
    nice: true,
  } as const;
  const packages = readPackages(release.path, app.directory, base.PATH ?? "");
  if (packages) provideTool(release, packages);
  if (app.install === false) return "skipped";
  if (app.install !== "auto") {
    await command(context, app.install, { ...work, cwd: release.path });
    return undefined;
  }
  if (!packages || packages.nothingToInstall) return "skipped";
  log.say(`Installing with ${packages.label}`);
  if (packages.unlocked) log.say("Warning: no lockfile; what is installed may not be what was tested");
  if (packages.drifted !== undefined) {
    throw new Fault(
      "install_failed",
      `The lockfile does not fit package.json: it does not know ${packages.drifted}`,
      "Run the install on your machine, commit the lockfile it writes, and push.",
    );
  }
  const builds = app.build !== false && (app.build !== "auto" || packages.hasBuild);
  for (const argv of builds ? packages.full : packages.production)
    await command(context, argv, { ...work, cwd: packages.dir });
  return undefined;
}

export const installStep: Step = { name: "install", run };
