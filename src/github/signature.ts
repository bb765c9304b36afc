import { createHash, timingSafeEqual } from "node:crypto";
import { verify } from "@octokit/webhooks-methods";
import { Fault } from "../domain/fault.js";

type Headers = Readonly<Record<string, string | string[] | undefined>>;

const howTo =
  "Send `X-Hub-Signature-256: sha256=<HMAC-SHA256 of the raw body, keyed with the secret, in hex>`; scripts/trigger-deploy.sh does.";

const unreadable = (what: string): Fault =>
  new Fault("unreadable", `The body ${what}`, "Send JSON in UTF-8, or GitHub's form encoding.");

/** The body as text. The same bytes come back out of it, so a signature of one is a signature of the other. */
export function bodyText(raw: Buffer): string {
  if (raw.length === 0) throw unreadable("is empty");
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(raw);
  } catch {
    throw unreadable("is not UTF-8");
  }
}

const sha256 = (text: string): Buffer => createHash("sha256").update(text).digest();
const equal = (a: string, b: string): boolean => timingSafeEqual(sha256(a), sha256(b));

const refused = (message: string, hint: string): Fault => new Fault("not_signed", message, hint);

/** The signature as it is to be compared, or a Fault `not_signed` that says what is wrong with the header. */
function signatureOf(headers: Headers, secrets: string[]): string {
  const modern = headers["x-hub-signature-256"];
  const given = String(modern ?? headers["x-hub-signature"] ?? "").trim();
  const sent = given.replace(/^sha(?:1|256)=/i, "");
  // Asked first: somebody who sends the secret itself has to be told, and has to change it.
  if (given && secrets.some((secret) => equal(secret, sent) || equal(secret, given)))
    throw refused(
      "The secret itself was sent in place of a signature",
      `Make a new secret, since this one has travelled in the open. ${howTo}`,
    );
  if (!given) throw refused("The request carries no signature", howTo);
  if (/^sha256=[0-9a-f]{64}$/i.test(given)) return given.toLowerCase();
  if (/^sha1=/i.test(given))
    throw refused(
      "A SHA-1 signature is not accepted",
      `GitHub sends both: pass X-Hub-Signature-256 on. ${howTo}`,
    );
  throw refused("The signature is not `sha256=` and 64 hex digits: it is cut off, or of another kind", howTo);
}

/** What a signature authorises: the apps of which one secret made it. */
interface Signer {
  name: string;
  secrets: string[];
}

/**
 * Names of the apps whose secret has signed `text`, the request's body. Throws Fault `not_signed` (401) when
 * there is none. Every secret is tried, in constant time each, so the time says nothing about which one it was.
 */
export async function signedFor(headers: Headers, text: string, apps: Signer[]): Promise<Set<string>> {
  const secrets = [...new Set(apps.flatMap((app) => app.secrets))];
  const signature = signatureOf(headers, secrets);
  const valid = new Set<string>();
  for (const secret of secrets) if (await verify(secret, text, signature)) valid.add(secret);
  if (valid.size === 0)
    throw refused(
      "The signature fits no secret of an app",
      "The secret here and the sender's differ, or something on the way changed the body.",
    );
  return new Set(
    apps.filter((app) => app.secrets.some((secret) => valid.has(secret))).map((app) => app.name),
  );
}
