import { type Context, io, type Step, type StepResult, targetOf } from "../context.js";

async function run(context: Context): Promise<StepResult> {
  const { app, rollout, receipt } = context;
  if ((await rollout.instances(app)).length > 0) receipt.begin();
  if (!app.preflight) return { skipped: "No boot aside: `preflight` is false" };
  await rollout.preflight(targetOf(context), io(context));
  return undefined;
}

export const preflightStep: Step = { name: "preflight", run };
