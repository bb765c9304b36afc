import { isAscii, isUtf8 } from "node:buffer";
import { hash, timingSafeEqual } from "node:crypto";
import { setImmediate as othersTurn } from "node:timers/promises";
import { verify } from "@octokit/webhooks-methods";
import { Fault, withoutTrace } from "../domain/fault.js";

type Headers = Readonly<Record<string, string | string[] | undefined>>;

const howTo =
  "Send `X-Hub-Signature-256: sha256=<HMAC-SHA256 of the raw body, keyed with the secret, in hex>`; scripts/trigger-deploy.sh does.";

const unreadable = (what: string): Fault =>
  new Fault("unreadable", `The body ${what}`, "Send JSON in UTF-8, or GitHub's form encoding.");

/** The body as text. The same bytes come back out of it, so a signature of one is a signature of the other. */
export function bodyText(raw: Buffer): string {
  if (raw.length === 0) throw unreadable("is empty");
  // As nearly all are; a plain copy.
  if (isAscii(raw)) return raw.toString("latin1");
  if (!isUtf8(raw)) throw unreadable("is not UTF-8");
  return raw.toString("utf8");
}

const sha256 = (text: string): Buffer => hash("sha256", text, "buffer");

/** Thousands of these a second must cost their sender more than us: made without a stack trace. */
const refused = (message: string, hint: string): Fault =>
  withoutTrace(() => new Fault("not_signed", message, hint));

/** What is wrong with a signature that was not made with a secret. */
function wrong(given: string, isSecret: (text: string) => boolean): Fault {
  // Asked first: somebody who sends the secret itself has to be told, and has to change it.
  if (given && (isSecret(given) || isSecret(given.replace(/^sha(?:1|256)=/i, ""))))
    return refused(
      "The secret itself was sent in place of a signature",
      `Make a new secret, since this one has travelled in the open. ${howTo}`,
    );
  if (!given) return refused("The request carries no signature", howTo);
  if (isWhole(given))
    return refused(
      "The signature fits no secret of an app",
      "The secret here and the sender's differ, or something on the way changed the body.",
    );
  if (/^sha1=/i.test(given))
    return refused(
      "A SHA-1 signature is not accepted",
      `GitHub sends both: pass X-Hub-Signature-256 on. ${howTo}`,
    );
  return refused(
    "The signature is not `sha256=` and 64 hex digits: it is cut off, or of another kind",
    howTo,
  );
}

const isWhole = (given: string): boolean => /^sha256=[0-9a-f]{64}$/i.test(given);

/** What a signature authorises: the apps of which one secret made it. */
interface Signer {
  name: string;
  secrets: string[];
}

/** A longer body takes long for each secret, and there may be hundreds; others are answered in between. Characters. */
const longBody = 256_000;

/**
 * Gives the names of the apps whose secret has signed `text`, the request's body. Throws Fault `not_signed` (401)
 * when there is none. Every secret is tried, in constant time each, so the time says nothing about which one it was.
 */
export function createVerifier(apps: Signer[]) {
  const secrets = [...new Set(apps.flatMap((app) => app.secrets))];
  const hashes = secrets.map(sha256);
  const isSecret = (text: string): boolean => {
    const own = sha256(text);
    return hashes.filter((one) => timingSafeEqual(one, own)).length > 0;
  };

  return async function signedFor(headers: Headers, text: string): Promise<Set<string>> {
    const given = String(headers["x-hub-signature-256"] ?? headers["x-hub-signature"] ?? "").trim();
    const valid = new Set<string>();
    if (isWhole(given)) {
      const signature = given.toLowerCase();
      for (const secret of secrets) {
        if (await verify(secret, text, signature)) valid.add(secret);
        if (text.length > longBody) await othersTurn();
      }
    }
    if (valid.size === 0) throw wrong(given, isSecret);
    return new Set(
      apps.filter((app) => app.secrets.some((secret) => valid.has(secret))).map((app) => app.name),
    );
  };
}
