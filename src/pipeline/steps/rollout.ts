import { hook } from "../commands.js";
import { type Context, io, type Step, type StepResult, targetOf } from "../context.js";

async function run(context: Context): Promise<StepResult> {
  const { app, rollout, receipt, recorder } = context;
  const target = targetOf(context);
  const isBack = recorder.deploy.trigger === "rollback";
  if (app.hooks.beforeRollout !== undefined && !isBack) await hook(context, app.hooks.beforeRollout);
  if ((await rollout.instances(app)).length > 0) receipt.begin();
  await rollout.converge(target, { ...io(context), trusted: isBack });
  receipt.begin();
  return undefined;
}

export const rolloutStep: Step = { name: "rollout", run };
