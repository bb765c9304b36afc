import type { Outcome, Running } from "./deploy.js";
import { Fault } from "./fault.js";
import { type StepName, stepNames } from "./step.js";

/** How often a deploy may be taken up again without having come further, before it is the deploy that is blamed. */
const maxResumes = 3;

/** Only ever grows while a deploy goes on: steps behind it, and the decision as one of them. */
function progressOf({ steps, decision }: Running): number {
  const done = steps.filter(({ status }) => status === "succeeded" || status === "skipped").length;
  return done + (decision === "back" ? stepNames.length : decision === "forward" ? 1 : 0);
}

/** The deploy as a restart finds it, counted. To be stored before anything is done with it. */
export function resumedAgain(deploy: Running): Running {
  const { resumes } = deploy;
  const progress = progressOf(deploy);
  const isFurther = resumes === undefined || progress > resumes.progress;
  return {
    ...deploy,
    resumes: isFurther ? { count: 1, progress } : { ...resumes, count: resumes.count + 1 },
  };
}

/** Whoever ends the daemon politely does not count against its deploy. */
export const forgiven = ({ resumes: _, ...deploy }: Running): Running => deploy;

/** Has the daemon died in it so often at the same place that it is to be ended, be it by going back? */
export const isHopeless = ({ resumes }: Running): boolean => (resumes?.count ?? 0) > maxResumes;

/** Did even the attempts to end it end the daemon? Then nothing more is done with it. */
export const isBeyondHelp = ({ resumes }: Running): boolean => (resumes?.count ?? 0) > 2 * maxResumes;

/** Where the daemon died: the last step that was begun. */
export const diedIn = ({ steps }: Running): StepName | undefined =>
  steps.findLast(({ status }) => status !== "pending")?.name;

export function crashFault(deploy: Running): Fault {
  const step = diedIn(deploy);
  const where = step ? `, in its ${step}` : "";
  return new Fault(
    "crashed_the_daemon",
    `The daemon was killed or crashed ${deploy.resumes?.count ?? 0} times in a row while it ran this deploy${where}; it is not tried again`,
    "The daemon's own log says why it ended (`journalctl -u dropless`; `dmesg` tells when the memory ran out). Deploy again when that is mended.",
  );
}

/** The end of a deploy that nothing more is done with; with a rollout begun, somebody has to look what serves. */
export function abandoned(deploy: Running): Outcome {
  const { code, message, hint } = crashFault(deploy);
  const isUnseen = deploy.steps.some(({ name, status }) => name === "rollout" && status === "pending");
  return {
    status: isUnseen ? "failed" : "rollback_failed",
    error: { code, message, hint, step: diedIn(deploy) },
  };
}
