import type { DeployError, Outcome } from "../domain/deploy.js";
import { toFault } from "../domain/fault.js";
import type { Instance, LogWriter } from "../domain/ports.js";
import type { StepName } from "../domain/step.js";
import { putBack } from "./back.js";
import type { Context } from "./context.js";

/** How a deploy stopped before its end. */
export interface Stop {
  /** What was thrown. */
  thrown: unknown;
  step?: StepName;
  /** What ran before the rollout began; undefined when this process has not seen that. */
  before?: Instance[];
}

/** The queue ignores it: the deploy stays as it is, and goes on at the next start. */
export const handedOver: Outcome = {
  status: "failed",
  error: {
    code: "handed_over",
    message: "The daemon is stopping",
    hint: "The deploy goes on at its next start.",
  },
};

const stepOf = ({ recorder }: Context, name: StepName) =>
  recorder.deploy.steps.find((step) => step.name === name)?.status ?? "pending";

function errorOf(context: Context, { thrown, step }: Stop): DeployError {
  const canceled = context.recorder.deploy.cancelRequested || context.signal.reason === "cancel";
  const { code, message, hint } = canceled
    ? {
        code: "canceled",
        message: step ? `The deploy was canceled during its ${step}` : "The deploy was canceled",
        hint: "Nothing is to be done; deploy again when it is wanted after all.",
      }
    : toFault(thrown);
  const migrated = context.app.migrate !== undefined && stepOf(context, "migrate") === "succeeded";
  return { code, message: migrated ? `${message}; the migration stays applied` : message, hint, step };
}

/** Were all of the old instances left in peace? Then nobody has seen anything of the new release. */
async function untouched({ rollout, app }: Context, before: Instance[] | undefined): Promise<boolean> {
  if (!before) return false;
  try {
    const now = new Set((await rollout.instances(app)).map(({ pmId, pid }) => `${pmId}/${pid}`));
    return before.every(({ pmId, pid }) => now.has(`${pmId}/${pid}`));
  } catch {
    return false;
  }
}

/** To the store; when that cannot be written, the way back is taken all the same: users come first. */
export function attempt(log: LogWriter, write: () => void): void {
  try {
    write();
  } catch (error) {
    log.say(`Warning: this could not be written down: ${(error as Error).message}`);
  }
}

/**
 * The one place that decides how a deploy that did not succeed ends (docs/first-deploy.md): before its rollout, users
 * saw nothing; from there on, the previous release is put back first. What it returns has been done.
 */
export async function conclude(context: Context, stop: Stop): Promise<Outcome> {
  const { recorder, releases, modules, rollout, receipt, log, ending } = context;
  if (ending.aborted) {
    await receipt.end();
    return handedOver;
  }
  const error = errorOf(context, stop);
  const canceled = error.code === "canceled";
  const isRollback = recorder.deploy.trigger === "rollback";
  log.say(canceled ? error.message : `Failed: ${error.message}`);
  const discard = async () => {
    const { release } = recorder.deploy;
    if (!release || isRollback) return;
    const found = releases.find(release);
    if (found) await modules.giveBack(found).catch(() => {});
    await releases.discard(release).catch(() => {});
  };
  if (stepOf(context, "rollout") === "pending") {
    await receipt.end();
    await discard();
    return { status: canceled ? "canceled" : "failed", error };
  }
  const unseen = (await untouched(context, stop.before)) && error.code !== "broken_beside_old";
  attempt(log, () => recorder.decide("back"));
  try {
    // A person's cancel is what got us here, and is not to stop the way back; only the end of the process is.
    await putBack(context, ending, !canceled && !unseen);
  } catch (thrown) {
    await receipt.end();
    if (ending.aborted) return handedOver;
    const why = toFault(thrown);
    log.say(`Going back failed: ${why.message}`);
    const message = `${error.message}; going back failed as well: ${why.message}`;
    return {
      status: "rollback_failed",
      error: { code: "rollback_failed", message, hint: why.hint, step: error.step },
    };
  }
  await receipt.end();
  await discard();
  const quiet = unseen && (recorder.deploy.receipt?.failed ?? 0) === 0;
  const failed = quiet || recorder.deploy.previous === undefined;
  // The dump still names what was live; a withdrawn first deploy must not come back with it.
  if (recorder.deploy.previous === undefined) await rollout.save().catch(() => {});
  return { status: canceled ? "canceled" : failed ? "failed" : "rolled_back", error };
}
