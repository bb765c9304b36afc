import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { loadConfig } from "../../config/load.js";
import { Fault } from "../../domain/fault.js";
import type { Shell } from "../command.js";
import { askFor } from "../init/ask.js";
import { guess, type Wishes } from "../init/guess.js";
import { configText, nginxBlock, type Plan, webhookPage } from "../init/text.js";
import type { Session } from "../session.js";

interface Options extends Wishes {
  yes?: boolean;
  force?: boolean;
}

const missing = (what: string, flag: string): Fault =>
  new Fault("usage", `${what} is not known, and there is nobody to ask`, `Say it with ${flag}.`);

function writeFiles(file: string, plan: Plan, secret: string): void {
  try {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(plan.secretFile, `${secret}\n`, { mode: 0o600, flag: "wx" });
    writeFileSync(file, configText(plan), { mode: 0o644 });
  } catch (error) {
    const { code, path } = error as NodeJS.ErrnoException;
    if (code === "EEXIST")
      throw new Fault(
        "config_exists",
        `${path} is there already`,
        "Use that secret, or remove the file first.",
      );
    throw new Fault(
      "config_unwritable",
      `${path ?? file} cannot be written (${code})`,
      "Choose another place with --config, or run it as a user that may write there.",
    );
  }
}

function explain(session: Session, file: string, plan: Plan, secret: string): void {
  const { terminal: t } = session;
  const page = webhookPage(plan.repository);
  const address = (plan.publicUrl ?? "https://YOUR-HOST/_dropless").replace(/\/+$/, "");
  const head = (text: string) => t.line(`\n${t.bold(text)}`);
  t.line(`${t.green("✔")} wrote ${file} and ${plan.secretFile}`);
  head("1. nginx, where your app's host name is");
  for (const line of nginxBlock(plan.publicUrl).split("\n")) t.line(`  ${line}`);
  head("2. The webhook");
  if (page) t.line(`  ${t.dim("at")}            ${page}`);
  t.line(`  ${t.dim("Payload URL")}   ${address}/webhooks/deploy`);
  t.line(`  ${t.dim("Content type")}  application/json`);
  t.line(`  ${t.dim("Secret")}        ${secret}`);
  t.line(`  ${t.dim("Events")}        just the push event`);
  t.line(`  ${t.dim("or an Actions job: the same secret as DEPLOY_SECRET, and scripts/trigger-deploy.sh")}`);
  head("3. Then");
  const config =
    file === resolve(session.io.cwd, "dropless.yaml") || file.startsWith("/etc/dropless/")
      ? ""
      : ` -c ${file}`;
  t.line(`  dropless check${config}        ${t.dim("is everything ready?")}`);
  t.line(`  dropless serve${config}        ${t.dim("the daemon; better as a systemd unit")}`);
  t.line(`  dropless deploy ${plan.app}${config}`);
}

async function init(session: Session, { yes, force, ...said }: Options, named?: string): Promise<number> {
  const { io, json, terminal } = session;
  const file = resolve(io.cwd, named ?? io.env.DROPLESS_CONFIG ?? "dropless.yaml");
  if (existsSync(file) && !force)
    throw new Fault(
      "config_exists",
      `${file} is there already`,
      "Add the app to it by hand, name another file with --config, or overwrite it with --force.",
    );
  const pm2Home = io.env.PM2_HOME || join(io.env.HOME ?? homedir(), ".pm2");
  const guessed = await guess(said, { cwd: io.cwd, env: io.env, pm2Home });
  const asks = io.stdin?.isTTY === true && !yes && !json;
  const wishes = asks ? await askFor(session, said, guessed) : guessed;
  if (!wishes.repository) throw missing("The repository", "--repository");
  if (!wishes.app || !wishes.root) throw missing("The app's name", "--app");

  const folder = dirname(file);
  const plan: Plan = {
    ...wishes,
    app: wishes.app,
    repository: wishes.repository,
    root: resolve(io.cwd, wishes.root),
    dataDir: folder === "/etc/dropless" ? "/var/lib/dropless" : ".dropless",
    pm2Home,
    secretFile: join(folder, `${wishes.app}.secret`),
  };
  const secret = randomBytes(32).toString("hex");
  writeFiles(file, plan, secret);
  // What was said may still be wrong; then it is told as every configuration's faults are.
  loadConfig({ config: file, env: io.env, cwd: io.cwd });
  if (json) {
    const webhook = `${(plan.publicUrl ?? "").replace(/\/+$/, "")}/webhooks/deploy`;
    terminal.json({
      file,
      app: plan.app,
      secretFile: plan.secretFile,
      secret,
      webhook,
      nginx: nginxBlock(plan.publicUrl),
    });
  } else explain(session, file, plan, secret);
  return 0;
}

export function addInit({ program, action }: Shell): void {
  program
    .command("init")
    .summary("write a configuration, and say what to set up at GitHub and nginx")
    .description("Finds out what it can from this folder and from PM2, and asks for the rest.")
    .option("--app <name>", "the app's name, by default PM2's or the repository's")
    .option("--repository <url>", "any git URL or path; by default this checkout's origin")
    .option("--branch <branch>", "the one that goes live")
    .option("--root <folder>", "where its releases go")
    .option("--ecosystem <file>", "the app's own PM2 file")
    .option("--script <file>", "what PM2 starts, instead of an ecosystem file")
    .option("--instances <count>", "how many of it")
    .option("--port <port>", "where it listens")
    .option("--health <path>", "its health check")
    .option("--public-url <url>", "dropless's own public address")
    .option("-y, --yes", "ask nothing")
    .option("--force", "overwrite the configuration")
    .action(
      action((session, options: Options) =>
        init(session, options, program.opts<{ config?: string }>().config),
      ),
    );
}
