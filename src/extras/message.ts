import { createHmac } from "node:crypto";
import type { NotifyConfig } from "../config/schema.js";
import type { Ended } from "../domain/deploy.js";
import type { Posted } from "./post.js";

const words: Record<Ended["status"], string> = {
  succeeded: "was deployed",
  failed: "was not deployed",
  rolled_back: "was rolled back",
  rollback_failed: "could not be rolled back and is on hold",
  superseded: "was superseded by a newer deploy",
  canceled: "was not deployed: canceled",
  skipped: "was not deployed: skipped",
};
const colours: Partial<Record<Ended["status"], number>> = { succeeded: 0x2da44e, rollback_failed: 0xcf222e };
const otherColour = 0xbf8700;

const seconds = (deploy: Ended): string => {
  if (!deploy.startedAt) return "";
  const took = Math.max(0, Date.parse(deploy.finishedAt) - Date.parse(deploy.startedAt));
  return ` in ${Math.round(took / 1000)} s`;
};

/** One deploy in the lines that a chat shows, still without any markup. */
function lines(deploy: Ended) {
  const { app, status, commit, receipt, error } = deploy;
  const subject = commit.message.split("\n")[0]?.slice(0, 200) ?? "";
  return {
    title: `${app} ${words[status]}${status === "succeeded" ? seconds(deploy) : ""}`,
    details: [
      [commit.sha.slice(0, 7), subject, commit.author && `(${commit.author})`].filter(Boolean).join(" "),
      error && `${error.message} ${error.hint}`,
      receipt && `${receipt.probes} probes during the rollout, ${receipt.failed} failed`,
    ].filter((line): line is string => Boolean(line)),
  };
}

/** Slack reads `<…>` as links and mentions: whoever writes a commit's message must not call the whole channel. */
const forSlack = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

function slack(deploy: Ended, link: string | undefined): unknown {
  const { title, details } = lines(deploy);
  const head = link ? `<${link}|${forSlack(title)}>` : forSlack(title);
  return { text: [head, ...details.map(forSlack)].join("\n"), unfurl_links: false, unfurl_media: false };
}

const forDiscord = (text: string): string => text.replace(/[\\*_`~|>[\]()#-]/g, "\\$&");

function discord(deploy: Ended, link: string | undefined): unknown {
  const { title, details } = lines(deploy);
  return {
    embeds: [
      {
        title: forDiscord(title).slice(0, 256),
        description: details.map(forDiscord).join("\n").slice(0, 4000),
        color: colours[deploy.status] ?? otherColour,
        timestamp: deploy.finishedAt,
        ...(link && { url: link }),
      },
    ],
    // No name in a commit's message rings anywhere.
    allowed_mentions: { parse: [] },
  };
}

function generic(deploy: Ended, link: string | undefined): unknown {
  const { id, app, status, trigger, ref, commit, createdAt, startedAt, finishedAt } = deploy;
  const { steps = [], release, previous, receipt, error, supersededBy, attempt } = deploy;
  return {
    event: "deploy.ended",
    deploy: {
      ...{ id, app, status, trigger, ref, commit, createdAt, startedAt, finishedAt, steps },
      ...{ release, previous, receipt, error, supersededBy, attempt, url: link },
    },
  };
}

const bodies = { slack, discord, webhook: generic };

/**
 * What is sent to one target about one deploy. A signed one carries `X-Dropless-Signature-256: sha256=<hex
 * HMAC-SHA256 of the raw body>`, as GitHub signs its own, and a delivery id that stays the same when it is sent again.
 */
export function messageFor(
  target: NotifyConfig,
  deploy: Ended,
  link: string | undefined,
  redact = (text: string) => text,
): Posted {
  // Whoever wrote the commit's message may have put anything there.
  const body = redact(JSON.stringify(bodies[target.type](deploy, link)));
  if (target.type !== "webhook") return { url: target.url, body };
  const headers: Record<string, string> = {
    "x-dropless-event": "deploy.ended",
    "x-dropless-delivery": `${deploy.id}-${deploy.status}`,
  };
  if (target.secret)
    headers["x-dropless-signature-256"] =
      `sha256=${createHmac("sha256", target.secret).update(body).digest("hex")}`;
  return { url: target.url, headers, body };
}
