import { type Context, releaseOf, type Step, type StepResult } from "../context.js";
import { leaving, stillLeft } from "../live.js";

async function run(context: Context): Promise<StepResult> {
  const { recorder, releases, receipt, log, now } = context;
  const release = releaseOf(context);
  const { id, commit, trigger } = recorder.deploy;
  receipt.begin();
  recorder.decide("forward");
  const { live } = recorder.app();
  // After a crash in this step it is written down already, and what was left with it.
  if (live?.deploy !== id) {
    const left =
      trigger === "rollback" && live && live.sha !== commit.sha
        ? await leaving(context, { sha: live.sha, deploy: live.deploy, automatic: false })
        : await stillLeft(context, commit.sha);
    recorder.live({ release: release.name, sha: commit.sha, deploy: id, since: now().toISOString() }, left);
  }
  releases.activate(release);
  log.say(`${release.name} is live`);
  return undefined;
}

export const activateStep: Step = { name: "activate", run };
