import { join, sep } from "node:path";
import { type Context, releaseOf, type Step, type StepResult } from "../context.js";

async function run(context: Context): Promise<StepResult> {
  const { app, rollout, releases, modules, buildCache, recorder, log } = context;
  const { live } = recorder.app();
  const spare = new Set([releaseOf(context).name]);
  for (const name of [live?.release, recorder.deploy.previous, releases.current()]) if (name) spare.add(name);
  const folder = join(app.root, "releases") + sep;
  for (const instance of await rollout.instances(app)) {
    if (instance.release) spare.add(instance.release);
    // Started by hand from one of our folders: it does not name its release, its paths do.
    for (const path of [instance.cwd, instance.script])
      if (path.startsWith(folder)) spare.add(path.slice(folder.length).split(sep)[0] ?? "");
  }
  try {
    const gone = await releases.prune(app.keep, spare);
    if (gone.length > 0) log.say(`Removed ${gone.join(", ")}`);
  } finally {
    // A release that cannot be removed keeps nothing else from being tidied up.
    await buildCache.settle(recorder.deploy.id);
    await modules.tidy({ none: !app.reuse });
  }
  return undefined;
}

export const pruneStep: Step = { name: "prune", run };
