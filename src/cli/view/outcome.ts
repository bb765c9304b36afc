import type { DeployView } from "../../http/wire.js";
import { duration, plural, shortSha, ticking } from "../format.js";
import type { Terminal } from "../terminal.js";
import { oneLine } from "../text.js";

const took = (deploy: DeployView): string =>
  deploy.startedAt && deploy.finishedAt
    ? ` in ${duration(Date.parse(deploy.finishedAt) - Date.parse(deploy.startedAt))}`
    : "";

/** Of that, what dropless itself took, beyond the work. */
function own({ steps }: DeployView): string {
  const known = steps.flatMap(({ ownMs }) => ownMs ?? []);
  return known.length > 0 ? ` (own ${ticking(known.reduce((sum, ms) => sum + ms, 0))})` : "";
}

/** `ab12cd3 "Fix the header"`; empty while only a branch is known. */
export function commitOf(deploy: DeployView): string {
  if (!deploy.commit.sha) return "";
  const message = oneLine(deploy.commit.message);
  return message ? `${shortSha(deploy.commit.sha)} "${message}"` : shortSha(deploy.commit.sha);
}

/** What users of the app noticed: what an operator looks for first. No more is claimed than the probe saw. */
function noticed({ status, receipt }: DeployView): string {
  if (status === "rolled_back") return "the release before it serves again";
  if (status === "rollback_failed") return "and it could not be rolled back: the app is on hold";
  return receipt && receipt.failed > 0 ? "what served before serves on" : "users saw nothing of it";
}

function headline(deploy: DeployView, t: Terminal): string {
  const at = deploy.error?.step ? ` at ${deploy.error.step}` : "";
  const commit = commitOf(deploy);
  const of = commit ? ` ${commit}` : "";
  switch (deploy.status) {
    case "succeeded":
      return t.green(`✔ ${t.bold(deploy.app)} is live:${of}${took(deploy)}${own(deploy)}`);
    case "skipped":
      return t.cyan(`○ ${t.bold(deploy.app)} needed no deploy`);
    case "canceled":
      return t.yellow(`✘ ${t.bold(deploy.app)} was canceled${of ? `:${of}` : ""}`);
    case "superseded":
      return t.yellow(`→ ${t.bold(deploy.app)} was superseded by ${deploy.supersededBy}`);
    case "failed":
    case "rolled_back":
    case "rollback_failed": {
      const word = deploy.status === "rolled_back" ? "was rolled back" : "was not deployed";
      const what = deploy.status === "rollback_failed" ? "failed" : word;
      return t.red(`✘ ${t.bold(deploy.app)} ${what}${at} — ${noticed(deploy)}`);
    }
    default:
      return `${t.bold(deploy.app)} is ${deploy.status}`;
  }
}

/** The last lines anyone sees of a deploy: what happened, why, what to do, and what it cost the users. */
export function outcomeLines(deploy: DeployView, t: Terminal): string[] {
  const lines = [headline(deploy, t)];
  const { error, receipt } = deploy;
  if (error) {
    lines.push(`  ${oneLine(error.message, 1000)} ${t.dim(`[${error.code}]`)}`);
    if (error.hint) lines.push(`  ${t.cyan("→")} ${oneLine(error.hint, 1000)}`);
  }
  const fact = (name: string, text: string) => lines.push(`  ${t.dim(name.padEnd(8))} ${text}`);
  if (deploy.status === "succeeded" && deploy.release)
    fact("release", deploy.previous ? `${deploy.release}, before it ${deploy.previous}` : deploy.release);
  if (receipt && receipt.probes > 0) {
    const failed = receipt.failed === 0 ? t.green("0 failed") : t.red(`${receipt.failed} failed`);
    fact(
      "receipt",
      `${plural(receipt.probes, "request")} probed, ${failed}, longest gap ${duration(receipt.maxGapMs)}`,
    );
  }
  if (deploy.status !== "skipped" && deploy.status !== "superseded")
    fact("log", `dropless logs ${deploy.id}`);
  return lines;
}
