import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import type { IncomingHttpHeaders } from "node:http";
import { z } from "zod";
import type { Scope } from "../config/schema.js";
import { isOwnPage } from "./same-origin.js";

/** Whoever may ask for something: a person's token, or the local command line's. */
export interface Operator {
  name: string;
  scope: Scope;
}

interface SessionRequest {
  method: string;
  headers: IncomingHttpHeaders;
}

/** The page's sessions. A session is worth what its token is worth, and ends when that is taken away. */
export interface Sessions {
  /** The operator of a request's session; undefined without one, or when another origin's page sent it. */
  operator(request: SessionRequest): Operator | undefined;
  /** A session for this token, as a `Set-Cookie` value; undefined when the token is nobody's. */
  open(token: string, request: SessionRequest): { operator: Operator; cookie: string } | undefined;
  /** Ends the request's session, if any; gives the `Set-Cookie` value that removes the cookie. */
  close(request: SessionRequest): string;
}

interface SessionDeps {
  /** Where sessions are kept over a restart: hashes only. Mode 0600. */
  file: string;
  /** Whose token has this SHA-256 (hex) now. */
  operatorOf(tokenSha256: string): Operator | undefined;
  /** From the configuration; its origin is the page's own, whatever a proxy makes of Host. */
  publicUrl?: string;
  now?(): number;
}

const cookieName = "dropless_session";
const lifeMs = 7 * 24 * 3_600_000;
/** Of one token; the oldest give way. A script that signs in for ever must not fill the disk. */
const mostPerToken = 20;

const storedSchema = z.array(z.object({ id: z.string(), token: z.string(), until: z.number() }));
type Stored = z.infer<typeof storedSchema>[number];

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
const equal = (a: string, b: string): boolean =>
  a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));

function cookieOf(headers: IncomingHttpHeaders): string | undefined {
  for (const pair of headers.cookie?.split(";") ?? []) {
    const [name, value] = pair.trim().split("=", 2);
    if (name === cookieName && value) return value;
  }
  return undefined;
}

/** The session cookie has no Path: a browser then takes the folder of the page, also behind a proxy's prefix. */
const setCookie = (value: string, maxAgeSeconds: number, secure: boolean): string =>
  `${cookieName}=${value}; Max-Age=${maxAgeSeconds}; HttpOnly; SameSite=Strict${secure ? "; Secure" : ""}`;

/**
 * Sessions in memory and in one small file. A file that cannot be written or read costs a new sign-in after the
 * next restart and nothing else.
 */
export function createSessions({ file, operatorOf, publicUrl, now = Date.now }: SessionDeps): Sessions {
  let sessions: Stored[] = load(file);

  const save = () => {
    try {
      writeFileSync(`${file}.new`, JSON.stringify(sessions), { mode: 0o600 });
      renameSync(`${file}.new`, file);
    } catch {
      // Told above.
    }
  };

  const find = (headers: IncomingHttpHeaders): Stored | undefined => {
    const cookie = cookieOf(headers);
    if (!cookie) return undefined;
    const id = sha256(cookie);
    return sessions.find((session) => equal(session.id, id) && session.until > now());
  };

  /** A browser always names the origin of a POST; what it says about TLS is true behind any proxy. */
  const isSecure = ({ headers }: SessionRequest) =>
    headers.origin?.startsWith("https://") ?? publicUrl?.startsWith("https://") ?? false;

  return {
    operator(request) {
      const session = find(request.headers);
      if (!session || !isOwnPage(request, publicUrl)) return undefined;
      return operatorOf(session.token);
    },
    open(token, request) {
      const hash = sha256(token);
      const operator = operatorOf(hash);
      if (!operator) return undefined;
      const value = randomBytes(32).toString("base64url");
      const current = sessions.filter(({ until }) => until > now());
      const mine = current.filter((session) => session.token === hash).slice(0, mostPerToken - 1);
      const others = current.filter((session) => session.token !== hash && operatorOf(session.token));
      sessions = [{ id: sha256(value), token: hash, until: now() + lifeMs }, ...mine, ...others];
      save();
      return { operator, cookie: setCookie(value, lifeMs / 1000, isSecure(request)) };
    },
    close(request) {
      const session = find(request.headers);
      if (session) {
        sessions = sessions.filter((other) => other !== session);
        save();
      }
      return setCookie("", 0, isSecure(request));
    },
  };
}

function load(file: string): Stored[] {
  try {
    return storedSchema.parse(JSON.parse(readFileSync(file, "utf8")));
  } catch {
    return [];
  }
}
