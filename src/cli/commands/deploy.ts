import type { Shell } from "../command.js";
import type { Session } from "../session.js";
import { theApp } from "../the-app.js";
import { watchDeploy } from "../watch.js";

interface Options {
  ref?: string;
  detach?: boolean;
}

async function deploy(session: Session, name: string | undefined, options: Options): Promise<number> {
  const client = session.client();
  const app = await theApp(session, name);
  const accepted = await client.deploy(app, options.ref);
  if (!options.detach) return watchDeploy(session, accepted.id);
  if (session.json) session.terminal.json(accepted);
  else session.terminal.line(accepted.id);
  return 0;
}

export function addDeploy({ program, action }: Shell): void {
  program
    .command("deploy")
    .summary("deploy, follow the log, exit with the outcome")
    .description(
      "Asks the daemon for a deploy of the app's branch, or of --ref, and follows it to the end, also when a newer one supersedes it.",
    )
    .argument("[app]", "may be left out when there is only one")
    .option("--ref <ref>", "branch, tag or commit instead of the app's branch")
    .option("-d, --detach", "do not follow: print the deploy's id")
    .addHelpText(
      "after",
      "\nExit code: 0 live or nothing to do, 1 failed, 2 usage or configuration, 3 no daemon.",
    )
    .action(action((session, app: string | undefined, options: Options) => deploy(session, app, options)));
}
