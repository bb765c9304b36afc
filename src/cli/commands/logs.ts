import { Fault } from "../../domain/fault.js";
import { isDeployId } from "../../domain/ids.js";
import type { DeployView } from "../../http/wire.js";
import type { Shell } from "../command.js";
import { exitCode, exitOfStatus } from "../exit.js";
import type { Session } from "../session.js";
import { safeLine } from "../text.js";
import { watchDeploy } from "../watch.js";

async function deployOf(session: Session, idOrApp: string | undefined): Promise<DeployView> {
  const client = session.client();
  if (idOrApp && isDeployId(idOrApp)) return client.get(idOrApp);
  if (idOrApp) await client.app(idOrApp);
  const { deploys } = await client.list({ limit: 1, ...(idOrApp && { app: idOrApp }) });
  const [latest] = deploys;
  if (latest) return client.get(latest.id);
  throw new Fault(
    "not_found",
    idOrApp ? `${idOrApp} has never been deployed` : "There is no deploy yet",
    "`dropless deploy` makes the first one.",
  );
}

/** For programs: one event a line. */
async function printEvents(session: Session, deploy: DeployView, follow: boolean): Promise<number> {
  const { terminal: t } = session;
  for await (const event of session.client().followEvents(deploy.id)) {
    t.json(event);
    if (event.event === "end") return follow ? exitOfStatus(event.data.status) : exitCode.done;
  }
  return 0;
}

async function logs(session: Session, idOrApp: string | undefined, follow: boolean): Promise<number> {
  const deploy = await deployOf(session, idOrApp);
  if (follow && !session.json) return watchDeploy(session, deploy.id);
  if (session.json && (follow || deploy.finishedAt)) return printEvents(session, deploy, follow);
  let number = 0;
  for await (const text of linesOf(session.client().logs(deploy.id))) {
    number++;
    // What there is until now of a deploy that runs: without an end, so without the events' way.
    if (session.json)
      session.terminal.json({ event: "log", deploy: deploy.id, data: { line: number, text } });
    else session.terminal.line(safeLine(text));
  }
  return exitCode.done;
}

async function* linesOf(pieces: AsyncIterable<string>): AsyncGenerator<string> {
  let rest = "";
  for await (const piece of pieces) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  if (rest) yield rest;
}

export function addLogs({ program, action }: Shell): void {
  program
    .command("logs")
    .summary("a deploy's log")
    .argument("[id|app]", "a deploy, or an app's latest; without it, the latest of all")
    .option("-f, --follow", "go on to the deploy's end, and exit with its outcome")
    .action(
      action((session, idOrApp: string | undefined, options: { follow?: boolean }) =>
        logs(session, idOrApp, options.follow ?? false),
      ),
    );
}
