import { isDeployId } from "../../domain/ids.js";
import type { AppView, DeployView } from "../../http/wire.js";
import type { Shell } from "../command.js";
import { ago, bytes, duration, plural, shortRef, shortSha, stepTime, table } from "../format.js";
import type { Session } from "../session.js";
import { statusWord } from "../status-word.js";
import type { Terminal } from "../terminal.js";
import { oneLine, safeLine } from "../text.js";
import { outcomeLines } from "../view/outcome.js";

const marks = { succeeded: "✔", failed: "✘", running: "◉", pending: "·", skipped: "○" } as const;

const since = (time: string, say: (long: string) => string): string => {
  const long = ago(time, Date.now());
  return long === "now" ? "just now" : say(long);
};

function showDeploy(deploy: DeployView, t: Terminal): void {
  t.line(`${t.bold(deploy.app)}  ${statusWord(deploy.status, t)}  ${t.dim(deploy.id)}`);
  const commit = [
    shortSha(deploy.commit.sha),
    oneLine(deploy.commit.message),
    oneLine(deploy.commit.author, 40),
  ];
  t.line(`  ${commit.filter(Boolean).join("  ")}`);
  const again = deploy.attempt > 1 ? `, attempt ${deploy.attempt}` : "";
  t.line(
    t.dim(
      `  ${deploy.trigger} of ${shortRef(deploy.ref)}, ${since(deploy.createdAt, (long) => `${long} ago`)}${again}`,
    ),
  );
  if (deploy.position) t.line(`  number ${deploy.position} in the queue`);
  for (const step of deploy.steps) {
    if (step.status === "pending" && deploy.finishedAt) continue;
    const mark = marks[step.status];
    const colour = { succeeded: t.green, failed: t.red, running: t.cyan, pending: t.dim, skipped: t.dim };
    const what = step.reason === undefined ? stepTime(step) : oneLine(step.reason, 200);
    t.line(`  ${colour[step.status](mark)} ${step.name.padEnd(10)} ${t.dim(what)}`.trimEnd());
  }
  if (deploy.finishedAt) for (const line of outcomeLines(deploy, t)) t.line(line);
  if (deploy.status === "failed" || deploy.status === "rolled_back" || deploy.status === "rollback_failed")
    for (const text of deploy.logTail.slice(-12)) t.line(`  ${t.dim("│")} ${safeLine(text)}`);
}

function showApp(app: AppView, t: Terminal): void {
  const live = app.live
    ? `${t.green("live")} ${app.live.release}  ${t.dim(since(app.live.since, (long) => `for ${long}`))}`
    : t.dim("never deployed");
  t.line(`${t.bold(app.name)}  ${live}`);
  if (app.hold)
    t.line(`  ${t.yellow(`on hold: ${oneLine(app.hold.reason, 200)}`)} ${t.dim(`(${app.hold.by})`)}`);
  const rows = app.instances.map((instance) => [
    `  ${instance.name} ${instance.number}`,
    instance.status === "online" ? t.green(instance.status) : t.red(instance.status),
    `pid ${instance.pid}`,
    `up ${duration(instance.uptimeMs)}`,
    bytes(instance.memoryBytes),
    plural(instance.restarts, "restart"),
    instance.release ?? t.yellow("started by hand"),
  ]);
  for (const line of table(rows)) t.line(line);
  if (app.pm2Error)
    t.line(`  ${t.red(oneLine(app.pm2Error.message, 300))} ${t.dim(`[${app.pm2Error.code}]`)}`);
  const back = app.releases.filter((release) => !release.live).map((release) => release.release);
  if (back.length > 0) t.line(t.dim(`  back to: ${back.join(", ")}`));
}

/** What is live, and how the last deploy went: where one looks first when something is wrong. */
async function statusOfApp({ terminal: t, json, client }: Session, name: string): Promise<number> {
  const app = await client().app(name);
  const [latest] = (await client().list({ app: name, limit: 1 })).deploys;
  const deploy = latest && (await client().get(latest.id));
  if (json) {
    t.json({ app, deploy: deploy ?? null });
    return 0;
  }
  showApp(app, t);
  if (deploy) {
    t.line();
    showDeploy(deploy, t);
  }
  return 0;
}

async function status(session: Session, idOrApp: string | undefined): Promise<number> {
  const { terminal: t, json } = session;
  const client = session.client();
  if (idOrApp && !isDeployId(idOrApp)) return statusOfApp(session, idOrApp);
  if (idOrApp) {
    const deploy = await client.get(idOrApp);
    if (json) t.json(deploy);
    else showDeploy(deploy, t);
    return 0;
  }
  const apps = await client.apps();
  if (json) t.json({ apps });
  else
    apps.forEach((app, index) => {
      if (index > 0) t.line();
      showApp(app, t);
    });
  return 0;
}

export function addStatus({ program, action }: Shell): void {
  program
    .command("status")
    .summary("what is live; one deploy; or an app and its last deploy")
    .argument("[id|app]", "a deploy, or an app with its last deploy; without it, every app")
    .action(action((session, idOrApp: string | undefined) => status(session, idOrApp)));
}
