import { InvalidArgumentError, Option } from "commander";
import { type DeployStatus, endedStatuses } from "../../domain/deploy.js";
import type { DeploySummary } from "../../http/wire.js";
import type { Shell } from "../command.js";
import { ago, duration, shortSha, table } from "../format.js";
import type { Session } from "../session.js";
import { statusWord } from "../status-word.js";
import type { Terminal } from "../terminal.js";
import { oneLine } from "../text.js";

const lasted = (deploy: DeploySummary): string =>
  deploy.startedAt && deploy.finishedAt
    ? duration(Date.parse(deploy.finishedAt) - Date.parse(deploy.startedAt))
    : "";

const row = (deploy: DeploySummary, t: Terminal, now: number): string[] => [
  deploy.id,
  deploy.app,
  statusWord(deploy.status, t),
  shortSha(deploy.commit.sha),
  ago(deploy.createdAt, now),
  lasted(deploy),
  deploy.trigger,
  oneLine(deploy.commit.message, 48),
];

const usualLimit = 20;

interface Options {
  app?: string;
  status?: DeployStatus;
  limit: number;
  before?: string;
}

async function list(session: Session, options: Options): Promise<number> {
  const { terminal: t } = session;
  const client = session.client();
  const answer = await client.list(options);
  // An app that is gone from the configuration still has its deploys; one that never was there has none.
  if (answer.deploys.length === 0 && options.app !== undefined) await client.app(options.app);
  if (session.json) {
    t.json(answer);
    return 0;
  }
  if (answer.deploys.length === 0) t.line(t.dim("No deploys."));
  else {
    const head = ["ID", "APP", "STATUS", "COMMIT", "AGO", "TOOK", "BY", "MESSAGE"].map(t.dim);
    for (const line of table([head, ...answer.deploys.map((deploy) => row(deploy, t, Date.now()))]))
      t.line(line);
  }
  if (answer.next) {
    const { app, status, limit } = options;
    const same = [
      app && ` --app ${app}`,
      status && ` --status ${status}`,
      limit !== usualLimit && ` -n ${limit}`,
    ];
    const more = same.filter(Boolean).join("");
    t.line(t.dim(`Older ones: dropless list --before ${answer.next}${more}`));
  }
  return 0;
}

const limit = (text: string): number => {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1 && count <= 100) return count;
  throw new InvalidArgumentError("It is a whole number from 1 to 100.");
};

export function addList({ program, action }: Shell): void {
  program
    .command("list")
    .summary("the latest deploys, newest first")
    .option("--app <app>", "only of this app")
    .addOption(
      new Option("--status <status>", "only with this status").choices([
        "queued",
        "running",
        ...endedStatuses,
      ]),
    )
    .option("-n, --limit <count>", "how many", limit, usualLimit)
    .option("--before <id>", "only those older than this one")
    .action(action((session, options: Options) => list(session, options)));
}
