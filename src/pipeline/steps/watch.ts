import { hook } from "../commands.js";
import { type Context, io, type Step, type StepResult, targetOf } from "../context.js";

/** The release is live and sound: what fails now is told, and takes nothing back. */
async function afterwards(context: Context, what: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    context.log.say(`Warning: ${what} failed: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function run(context: Context): Promise<StepResult> {
  const { app, rollout, receipt } = context;
  receipt.begin();
  await rollout.watch(targetOf(context), io(context));
  await receipt.end();
  const { afterRollout } = app.hooks;
  if (afterRollout !== undefined)
    await afterwards(context, "hooks.afterRollout", () => hook(context, afterRollout));
  await afterwards(context, "saving PM2's process list", () => rollout.save());
  return undefined;
}

export const watchStep: Step = { name: "watch", run };
