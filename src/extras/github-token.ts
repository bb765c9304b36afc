import { createPrivateKey } from "node:crypto";
import { SignJWT } from "jose";
import { z } from "zod";
import { githubHeaders } from "./github-api.js";
import { type PostOptions, post } from "./post.js";

/** What GitHub's API is asked with. */
export interface GithubToken {
  /** Good for some minutes at least. Throws what `post` throws, when it takes a call to GitHub. */
  read(options: PostOptions): Promise<string>;
  /** GitHub refused the one that `read` gave. True when the next one will be another. */
  drop(): boolean;
}

export interface GithubAppOptions {
  /** Its id or its client id. */
  app: string | number;
  installation: number;
  /** PEM. */
  privateKey: string;
  apiUrl: string;
  now?(): number;
}

/** An installation's token lives for an hour; it is replaced so long before, milliseconds. */
const marginMs = 5 * 60_000;
/** GitHub takes ten minutes at most, and its clock may be behind ours. Seconds. */
const [proofSeconds, backSeconds] = [9 * 60, 60];

const answerSchema = z.object({ token: z.string().min(1), expires_at: z.iso.datetime({ offset: true }) });

/** A person's token: always the same. */
export const fixedToken = (token: string): GithubToken => ({ read: async () => token, drop: () => false });

/**
 * Tokens of an installed GitHub App: made with a proof that its private key signs, kept while they are good, and asked
 * for once by however many calls need one. They may do no more than deployments need.
 */
export function createInstallationToken(options: GithubAppOptions): GithubToken {
  const { app, installation, privateKey, apiUrl, now = Date.now } = options;
  // GitHub's keys are PKCS#1, which jose does not read by itself.
  const key = createPrivateKey(privateKey);
  let current: { token: string; until: number } | undefined;
  let asking: Promise<string> | undefined;

  async function ask(of: PostOptions): Promise<string> {
    const seconds = Math.floor(now() / 1000);
    const proof = await new SignJWT({})
      .setProtectedHeader({ alg: "RS256", typ: "JWT" })
      .setIssuer(String(app))
      .setIssuedAt(seconds - backSeconds)
      .setExpirationTime(seconds + proofSeconds)
      .sign(key);
    const text = await post(
      {
        url: `${apiUrl}/app/installations/${installation}/access_tokens`,
        headers: { ...githubHeaders, authorization: `Bearer ${proof}` },
        body: JSON.stringify({ permissions: { deployments: "write" } }),
      },
      of,
    ).catch((error: Error & { status?: number }) => {
      throw Object.assign(new Error(`the GitHub App got no token: GitHub ${error.message}`), {
        // Its own 401 is not about a token that could be made anew.
        cause: error,
      });
    });
    const { token, expires_at } = answerSchema.parse(JSON.parse(text));
    current = { token, until: Date.parse(expires_at) - marginMs };
    return token;
  }

  return {
    async read(of) {
      if (current && current.until > now()) return current.token;
      asking ??= ask(of).finally(() => {
        asking = undefined;
      });
      return asking;
    },
    drop() {
      current = undefined;
      return true;
    },
  };
}
