import { Fault } from "../../domain/fault.js";
import type { Shell } from "../command.js";
import { exitCode } from "../exit.js";
import type { Session } from "../session.js";
import { theApp } from "../the-app.js";
import { watchDeploy } from "../watch.js";

interface Options {
  ref?: string;
  detach?: boolean;
  here?: boolean;
}

async function deploy(session: Session, name: string | undefined, options: Options): Promise<number> {
  const client = session.client();
  const accepted = await client.deploy(await theApp(session, name), options.ref);
  if (!options.detach) return watchDeploy(session, accepted.id);
  if (session.json) session.terminal.json(accepted);
  else session.terminal.line(accepted.id);
  return exitCode.done;
}

/** As `deploy`, with or without a daemon; Ctrl-C cancels what nobody else would go on with. */
async function deployHere(session: Session, name: string | undefined, { ref }: Options): Promise<number> {
  const app = await theApp(session, name);
  if (!session.config().apps[app])
    throw new Fault(
      "app_unknown",
      "There is no app of this name",
      `Configured are: ${Object.keys(session.config().apps).join(", ")}.`,
    );
  // A whole daemon comes with it, which `deploy` alone has no need of.
  const { reachOrStart } = await import("../here.js");
  const reached = await reachOrStart(session);
  const client = reached.session.client();
  try {
    const { id } = await client.deploy(app, ref);
    if (!reached.here) return await watchDeploy(reached.session, id);
    return await watchDeploy(reached.session, id, {
      onInterrupt: async (current) => {
        session.terminal.error("\nCanceling the deploy; what it began is put back …");
        await client.cancel(current).catch(() => undefined);
        return watchDeploy(reached.session, current);
      },
    });
  } finally {
    await reached.stop();
  }
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
    .option("--here", "when no daemon answers, run the same pipeline in this process")
    .addHelpText(
      "after",
      "\nExit code: 0 live or nothing to do, 1 failed, 2 usage or configuration, 3 no daemon.",
    )
    .action(
      action((session, app: string | undefined, options: Options) => {
        if (!options.here) return deploy(session, app, options);
        if (!options.detach) return deployHere(session, app, options);
        throw new Fault(
          "usage",
          "--here and --detach exclude each other",
          "With --here this process may be the one that runs the deploy, so it has to stay.",
        );
      }),
    );
}
