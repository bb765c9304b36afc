import { z } from "zod";
import type { AppConfig } from "../config/schema.js";
import { Fault } from "../domain/fault.js";
import type { DeployRequest } from "../domain/request.js";
import { actionsRequest, eventNamed, type Happening, type Told } from "./events.js";

export interface Received {
  /** X-GitHub-Event; absent for what an Actions job sends. */
  event?: string;
  /** X-GitHub-Delivery. */
  delivery?: string;
  contentType: string;
  text: string;
}

export type Reading =
  | { kind: "pong" }
  | { kind: "ignored"; reason: string }
  | { kind: "requests"; deliveryId?: string; requests: DeployRequest[] };

type App = Pick<AppConfig, "name" | "repository" | "branch" | "on" | "workflow">;

const unreadable = (message: string, hint: string): Fault => new Fault("unreadable", message, hint);

function parseBody(contentType: string, text: string): unknown {
  const form = /^application\/x-www-form-urlencoded\b/i.test(contentType);
  // The content type is not signed: a field further on may be somebody's words inside of signed JSON.
  if (form && !text.startsWith("payload="))
    throw unreadable(
      "The form does not begin with the field `payload`",
      "Send `payload=<JSON>` as GitHub does, or JSON with `Content-Type: application/json`.",
    );
  try {
    return JSON.parse(form ? (new URLSearchParams(text).get("payload") ?? "") : text);
  } catch {
    throw unreadable("The body is not JSON", "Send the event or request as one JSON document.");
  }
}

function read(event: string | undefined, body: unknown): Told {
  const reader = event === undefined ? actionsRequest : eventNamed(event);
  if (!reader) return { ignored: `dropless does not act on the event ${event}` };
  try {
    return reader.read(body);
  } catch (error) {
    if (!(error instanceof z.ZodError)) throw error;
    const issue = error.issues[0];
    throw unreadable(
      `The body is not a ${event ? `${event} event` : "request to deploy"}: ${issue?.path.join(".") || "it"} ${issue?.message ?? "is wrong"}`,
      event
        ? "Send GitHub's payload as it is, under the event's own name."
        : 'Send {"repository": "owner/name", "ref": "refs/heads/main", "sha": "<the commit>"}.',
    );
  }
}

/** `owner/name` of any git URL or path: its last two segments, lower case, without `.git`. */
export const fullNameOf = (repository: string): string =>
  repository
    .replace(/[/\\]+$/, "")
    .replace(/\.git$/i, "")
    .split(/[/:\\]/)
    .filter((segment) => segment !== "")
    .slice(-2)
    .join("/")
    .toLowerCase();

const isWorkflow = (wanted: string, path: string): boolean =>
  path === wanted || path.endsWith(`/${wanted.replace(/^\.?\/+/, "")}`);

/** Why an app of this repository is not concerned. */
function notFor(app: App, happening: Happening): string | undefined {
  if (!app.on.includes(happening.trigger as App["on"][number]))
    return `${happening.trigger} is not in \`on\` of ${app.name}`;
  if (happening.branch !== undefined && happening.branch !== app.branch)
    return `another branch than ${app.branch} of ${app.name}`;
  if (happening.trigger === "request" && happening.branch === undefined) return "not the ref of a branch";
  if (happening.workflow !== undefined && !isWorkflow(app.workflow ?? "", happening.workflow))
    return `another workflow than ${app.workflow} of ${app.name}`;
  return undefined;
}

const unknown = (message: string): Fault =>
  new Fault(
    "app_unknown",
    message,
    "Compare `apps` and their `repository` in dropless.yaml with the payload.",
  );

/** The apps of the happening's repository that its signature authorises. */
function authorised(happening: Happening, ofRepository: App[], signed: Set<string>): App[] {
  if (ofRepository.length === 0) throw unknown(`No app has the repository ${happening.repository}`);
  const { app: asked } = happening;
  const meant = ofRepository.filter((app) => asked === undefined || app.name === asked);
  if (meant.length === 0) throw unknown(`No app of ${happening.repository} has the name that was asked for`);
  const allowed = meant.filter((app) => signed.has(app.name));
  if (allowed.length > 0) return allowed;
  throw new Fault(
    "not_signed",
    `The signature is of no secret of ${meant.map((app) => app.name).join(", ")}`,
    "A secret authorises its own apps only: sign with one of this app's `secrets`.",
  );
}

const deliveryIdOf = (received: Received, body: unknown): string | undefined => {
  const own = received.event === undefined && typeof body === "object" && body !== null && "delivery" in body;
  const id = own ? body.delivery : received.delivery;
  return typeof id === "string" && /^[\x21-\x7e]{1,200}$/.test(id) ? id : undefined;
};

/**
 * Reads what a verified delivery asks for. `signed` has the names of the apps whose secret verified. Throws Fault
 * `unreadable` (400), `app_unknown` (404) or `not_signed` (401).
 */
export function createPayloadReader(apps: App[]) {
  const byRepository = new Map<string, App[]>();
  for (const app of apps) {
    const name = fullNameOf(app.repository);
    byRepository.set(name, [...(byRepository.get(name) ?? []), app]);
  }

  return function readPayload(received: Received, signed: Set<string>): Reading {
    const event =
      received.event === undefined || /^\w{1,64}$/.test(received.event) ? received.event : "unknown";
    const body = parseBody(received.contentType, received.text);
    if (event === "ping") return { kind: "pong" };
    const told = read(event, body);
    if ("ignored" in told) return { kind: "ignored", reason: told.ignored };

    const ofRepository = byRepository.get(told.repository.toLowerCase()) ?? [];
    const reasons = new Set<string>();
    const requests = authorised(told, ofRepository, signed).flatMap((app): DeployRequest[] => {
      const reason = notFor(app, told);
      if (reason) reasons.add(reason);
      const { trigger, ref, sha, message, author } = told;
      return reason ? [] : [{ app: app.name, trigger, ref, commit: { sha, message, author } }];
    });
    if (requests.length === 0) return { kind: "ignored", reason: [...reasons].join("; ") };
    return { kind: "requests", deliveryId: deliveryIdOf(received, body), requests };
  };
}
