import { join, sep } from "node:path";
import { toFault } from "../../domain/fault.js";
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
  const failed: unknown[] = [];
  /** What cannot be removed keeps nothing else from being tidied up. */
  const tidying = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      failed.push(error);
      return undefined;
    }
  };
  // What no sweep could remove until now is told here.
  await tidying(() => releases.sweep());
  const gone = (await tidying(() => releases.prune(app.keep, spare))) ?? [];
  if (gone.length > 0) log.say(`Removed ${gone.join(", ")}`);
  await tidying(() => buildCache.settle(recorder.deploy.id));
  await tidying(() => modules.tidy({ none: !app.reuse }));
  for (const error of failed.slice(1)) log.say(`Warning: ${toFault(error).message}`);
  if (failed.length > 0) throw failed[0];
  return undefined;
}

export const pruneStep: Step = { name: "prune", run };
