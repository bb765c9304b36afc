import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { command } from "../commands.js";
import { type Context, releaseOf, type Step, type StepResult } from "../context.js";
import { finish } from "../finish.js";

async function run(context: Context): Promise<StepResult> {
  const { app, base, env } = context;
  if (app.migrate === undefined) return { skipped: "Nothing to migrate: `migrate` is not configured" };
  const release = releaseOf(context);
  // A restart between the migration and the end of this step must not migrate twice.
  const done = join(release.path, ".dropless", "migrated");
  if (!existsSync(done)) {
    await command(context, app.migrate, {
      what: "migrate",
      cwd: release.path,
      env: { ...base, ...env },
      timeoutMs: app.timeouts.migrate,
    });
    writeFileSync(done, "", { flush: true });
  }
  await finish(context);
  return undefined;
}

export const migrateStep: Step = { name: "migrate", run };
