import type { Deploy } from "../domain/deploy.js";
import { Fault } from "../domain/fault.js";
import type { StepName } from "../domain/step.js";
import type { Context } from "./context.js";

/** What a rollback does not repeat. */
const builds: StepName[] = ["fetch", "install", "build", "migrate", "preflight"];

const releaseOfDeploy = (deploy: Deploy): string | undefined =>
  "release" in deploy ? deploy.release : undefined;

/** Releases that succeeded once and are still whole, newest first; ids sort by time even when clocks do not. */
function candidates({ succeeded, releases }: Context): { release: string; made: string; deploy: Deploy }[] {
  return succeeded()
    .filter(({ trigger }) => trigger !== "rollback")
    .map((deploy) => ({ release: releaseOfDeploy(deploy) ?? "", made: deploy.id, deploy }))
    .filter(({ release }) => releases.built(release) !== undefined)
    .sort((a, b) => (a.made < b.made ? 1 : -1));
}

function choose(context: Context): string {
  const { recorder, releases } = context;
  const { ref } = recorder.deploy;
  const there = candidates(context);
  if (ref !== "") {
    if (releases.built(ref)) return ref;
    const names = there.map(({ release }) => release).join(", ");
    throw new Fault(
      "release_not_found",
      `There is no whole release ${ref.slice(0, 60)}`,
      names ? `There are ${names}.` : "There is none yet to go back to.",
    );
  }
  const live = recorder.app().live?.release;
  const made = there.find(({ release }) => release === live)?.made;
  const older = there.find((one) =>
    made ? one.made < made : one.release !== live && one.release < (live ?? "~"),
  );
  if (older) return older.release;
  throw new Fault(
    "nothing_to_roll_back_to",
    "There is no older release that succeeded and is still there",
    "Deploy a commit that is known to be good; the app's `keep` says how many releases stay.",
  );
}

/** Makes a rollback begin at its rollout, with the release it is for. */
export function beginRollback(context: Context): void {
  const { recorder, releases, succeeded, log } = context;
  if (recorder.deploy.release) return;
  const release = choose(context);
  for (const name of builds) recorder.step(name, "skipped", undefined, "A rollback begins at the rollout");
  const sha = releases.built(release)?.sha ?? "";
  const known = succeeded().find((deploy) => releaseOfDeploy(deploy) === release)?.commit;
  recorder.commit(known?.sha === sha ? known : { sha, message: "", author: "" });
  recorder.release(release);
  log.say(`Rolling back to ${release}`);
}
