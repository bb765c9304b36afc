import type { Shell } from "../command.js";
import type { Session } from "../session.js";
import { watchDeploy } from "../watch.js";

async function rollback(session: Session, app: string, release: string | undefined): Promise<number> {
  const accepted = await session.client().rollback(app, release);
  return watchDeploy(session, accepted.id);
}

export function addRollback({ program, action }: Shell): void {
  program
    .command("rollback")
    .summary("put an earlier release live: nothing is installed, nothing is built")
    .argument("<app>")
    .argument(
      "[release]",
      "one that `dropless status` lists; by default the newest that is older than the live one",
    )
    .action(action((session, app: string, release: string | undefined) => rollback(session, app, release)));
}
