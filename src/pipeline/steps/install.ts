import { Fault } from "../../domain/fault.js";
import { makeExecutable, runAgain } from "../again.js";
import { command } from "../commands.js";
import { takeBuilt } from "../content.js";
import { type Context, io, releaseOf, type Step, type StepResult } from "../context.js";
import { type Installation, installationOf } from "../key.js";
import { type Argv, type Packages, readPackages } from "../packages.js";
import type { Fits } from "../ports.js";
import { provideTool, withTools } from "../tools.js";

/** Without NODE_ENV, which would make package managers leave out what the build needs. */
export function installEnv({ app, base }: Context): Record<string, string> {
  const { NODE_ENV: _, ...env } = { ...base, ...app.buildEnv };
  // A yarn or pnpm on PATH may be corepack's, which would ask before it fetches.
  return { COREPACK_ENABLE_DOWNLOAD_PROMPT: "0", npm_config_update_notifier: "false", ...env };
}

type Install = (commands: readonly Argv[]) => Promise<void>;

/** The packages of an earlier deploy that asked for the very same, or else new ones, which are then kept. */
async function reuse(
  context: Context,
  packages: Packages,
  installation: Installation,
  commands: readonly Argv[],
  install: Install,
): Promise<void> {
  const { modules, log } = context;
  const release = releaseOf(context);
  const { key } = installation;
  const fits: Fits = (scripted) => runAgain(packages, installation, scripted) !== undefined;
  const taken = fits([]) ? await modules.take(key, release, fits, io(context)) : "unfit";
  if (typeof taken === "object") {
    log.say("The packages are those of an earlier deploy: nothing of what decides them has changed");
    makeExecutable(release.path, installation);
    return install(runAgain(packages, installation, taken.scripted) ?? []);
  }
  await install(commands);
  if (taken === "none") await modules.keep(key, release, fits, io(context));
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
  if (app.install === false) return { skipped: "Nothing to install: `install` is false" };
  if (app.install !== "auto") {
    await command(context, app.install, { ...work, cwd: release.path });
    return undefined;
  }
  if (!packages) return { skipped: "Nothing to install: there is no package.json" };
  if (packages.nothingToInstall)
    return { skipped: "Nothing to install: package.json names no dependency, and there is no lockfile" };
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
  const commands = builds ? packages.full : packages.production;
  const install: Install = async (argvs) => {
    for (const argv of argvs) await command(context, argv, { ...work, cwd: packages.dir });
  };
  const installation = app.reuse
    ? await installationOf(context, packages, commands, withTools(work.env, release))
    : undefined;
  const from = installation && app.reuse === true ? await takeBuilt(context, installation.key) : undefined;
  if (from !== undefined) {
    provideTool(release, packages);
    return { skipped: `Nothing to build: a copy of ${from}, which has the same content` };
  }
  if (installation) await reuse(context, packages, installation, commands, install);
  else await install(commands);
  return undefined;
}

export const installStep: Step = { name: "install", run };
