import { command } from "./commands.js";
import { contentNote, isCopied } from "./content.js";
import { type Context, io, releaseOf } from "./context.js";
import { readPackages } from "./packages.js";
import { installEnv } from "./steps/install.js";

/** The end of building: what only the build needed goes, and the release is marked as whole. */
export async function finish(context: Context): Promise<void> {
  const { app, base, modules, recorder, releases } = context;
  const release = releaseOf(context);
  const packages =
    app.install === "auto" && app.build !== false && !isCopied(release)
      ? readPackages(release.path, app.directory, base.PATH ?? "")
      : undefined;
  if (packages && !packages.nothingToInstall && (app.build !== "auto" || packages.hasBuild)) {
    const prune = async () => {
      for (const argv of packages.prune) {
        await command(context, argv, {
          what: "install",
          cwd: packages.dir,
          env: installEnv(context),
          timeoutMs: app.timeouts.install,
          nice: true,
        });
      }
    };
    if (!(await modules.slim(release, io(context)))) await modules.learn(release, io(context), prune);
  }
  releases.markBuilt(release, recorder.deploy.commit.sha, contentNote(release));
}
