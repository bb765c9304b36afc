import { createRemoteJWKSet, decodeJwt, errors, type JWTPayload, jwtVerify } from "jose";
import type { AppConfig, OidcConfig } from "../config/schema.js";
import { Fault } from "../domain/fault.js";

type App = Pick<AppConfig, "name" | "branch" | "oidc">;

export interface OidcDeps {
  apps: App[];
  /** False when this token has been taken before; durable when it returns. `expires`: seconds since 1970. */
  take(tokenId: string, expires: number): boolean;
  /** How long an issuer's keys are not asked for again because of a key that is unknown, milliseconds. */
  cooldownMs?: number;
}

/** Clocks differ. Seconds. */
const tolerance = 30;
/** GitHub's tokens live for minutes; one that was made to live for days is not taken for so long. */
const mostAge = "15m";

const refused = (message: string, hint: string): Fault => new Fault("token_refused", message, hint);

const askAgain =
  "Ask GitHub for a new token for each request; the job needs `permissions: { id-token: write }`.";

/** `acme/api/.github/workflows/deploy.yml@refs/heads/main` → `deploy.yml` fits, and so does the whole path. */
const isWorkflow = (wanted: string, claim: unknown): boolean => {
  const path = String(claim ?? "").replace(/@.*$/, "");
  return (
    path.endsWith(`/.github/workflows/${wanted}`) || (path.endsWith(`/${wanted}`) && wanted.includes("/"))
  );
};

/** Names of the claims by which a token is not one for this app. */
function unfit(oidc: OidcConfig, branch: string, claims: JWTPayload): string[] {
  const audiences = [claims.aud ?? []].flat();
  // Something has to say what may deploy: where nothing is said, only what runs on the app's branch.
  const ref = oidc.ref ?? (oidc.environment === undefined ? `refs/heads/${branch}` : undefined);
  const fits: Record<string, boolean> = {
    aud: audiences.includes(oidc.audience),
    repository: String(claims.repository).toLowerCase() === oidc.repository.toLowerCase(),
    ref: ref === undefined || claims.ref === ref,
    environment: oidc.environment === undefined || claims.environment === oidc.environment,
    workflow_ref: oidc.workflow === undefined || isWorkflow(oidc.workflow, claims.workflow_ref),
  };
  return Object.keys(fits).filter((name) => !fits[name]);
}

/** What jose has found, in words; an issuer that cannot be asked is nobody's fault here. */
function faultOf(error: unknown): Fault {
  const code = error instanceof errors.JOSEError ? error.code : undefined;
  if (
    code === undefined ||
    code === "ERR_JWKS_TIMEOUT" ||
    code === "ERR_JOSE_GENERIC" ||
    code === "ERR_JWKS_INVALID"
  )
    return new Fault(
      "issuer_unreachable",
      "The keys of the token's issuer could not be fetched",
      "Send it again in a moment; the server must reach the issuer by https, see `oidc.issuer`.",
      { cause: error },
    );
  if (error instanceof errors.JWTExpired) return refused("The identity token has expired", askAgain);
  if (error instanceof errors.JWTClaimValidationFailed)
    return refused(
      `The identity token's claim ${error.claim} is ${error.reason === "missing" ? "missing" : "not as it must be"}`,
      "Compare it with the app's `oidc` in dropless.yaml; for `iat` and `nbf`, the clocks of both sides.",
    );
  return refused("The identity token is not one that its issuer has signed", askAgain);
}

/**
 * Tells for which apps an identity token of GitHub Actions (or another issuer) speaks: by the issuer's signature,
 * its expiry, and what each app's `oidc` pins. A token is taken once. Fault `token_refused` (401) |
 * `issuer_unreachable` (503) | `store_unwritable` (503).
 */
export function createIdentify({ apps, take, cooldownMs = 30_000 }: OidcDeps) {
  type Keys = ReturnType<typeof createRemoteJWKSet>;
  const keysByIssuer = new Map<string, Keys>();
  const keysOf = (issuer: string): Keys => {
    const keys =
      keysByIssuer.get(issuer) ??
      createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks`), {
        cooldownDuration: cooldownMs,
        timeoutDuration: 5_000,
      });
    keysByIssuer.set(issuer, keys);
    return keys;
  };

  const issuerOf = (token: string): string => {
    try {
      // Not verified yet: it may be anything that JSON can say.
      return String(decodeJwt(token).iss ?? "");
    } catch {
      throw refused("The identity token cannot be read", askAgain);
    }
  };

  return async function identify(token: string): Promise<Set<string>> {
    const issuer = issuerOf(token);
    // Asked by the configured address: a token must not choose whom this server asks.
    const known = issuer.replace(/\/+$/, "");
    const trusting = apps.filter(({ oidc }) => oidc?.issuer === known);
    if (trusting.length === 0)
      throw refused(
        "No app trusts the issuer of this identity token",
        "Set `oidc.issuer` of the app to the token's `iss`; it is GitHub's own by default.",
      );
    const { payload } = await jwtVerify(token, keysOf(known), {
      issuer,
      // Signatures with a private key only: a public key must never do as a shared secret.
      algorithms: ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384"],
      requiredClaims: ["exp", "iat", "jti", "aud", "repository"],
      clockTolerance: tolerance,
      maxTokenAge: mostAge,
    }).catch((error: unknown) => {
      throw faultOf(error);
    });
    const wrong = new Set<string>();
    const names = trusting.flatMap(({ name, branch, oidc }) => {
      const misfits = oidc ? unfit(oidc, branch, payload) : [];
      for (const claim of misfits) wrong.add(claim);
      return misfits.length === 0 ? [name] : [];
    });
    if (names.length === 0)
      throw refused(
        `The identity token is for no app here: ${[...wrong].join(", ")} differ`,
        "Compare the job's repository, ref, environment and workflow with the app's `oidc` in dropless.yaml.",
      );
    if (!take(`${known} ${payload.jti}`, (payload.exp ?? 0) + tolerance))
      throw refused("The identity token was used before", askAgain);
    return new Set(names);
  };
}
