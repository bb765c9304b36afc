/** Shorter ones are words as often as secrets, and taking those out would wreck a log. */
const shortest = 8;

/** `NPM_TOKEN`, `DB_PASSWORD`, `STRIPE_API_KEY`, `SESSION_SECRET`, `SENTRY_DSN`, `apiKey`. */
const looksSecret =
  /SECRET|TOKEN|PASSW(?:OR)?D|PASSPHRASE|CREDENTIAL|PRIVATE|COOKIE|(?:PASS|PWD|DSN|SALT|PEPPER|KEYS?)(?:_|\d|$)/i;
/** What is meant for everybody (`NEXT_PUBLIC_API_KEY`), and what only speaks of a secret (`TOKEN_URL`, `SSH_KEY_PATH`). */
const looksOpen =
  /PUBLIC|^PWD$|_(?:PATH|FILE|DIR|URL|URI|HOST|PORT|NAME|ID|TTL|AGE|EXPIRY|EXPIRES(?:_IN)?|ISSUER|AUDIENCE|ALG(?:ORITHM)?|TYPE|LENGTH|SIZE|COUNT|LIMIT|ENABLED)$/i;

/** The password of a URL, as it stands there and as it is meant. */
function passwordsOf(value: string): string[] {
  const password = /^[a-z][a-z0-9+.-]*:\/\/[^\s/?#]*?:([^\s/?#]*)@/i.exec(value)?.[1];
  if (password === undefined) return [];
  try {
    return [password, decodeURIComponent(password)];
  } catch {
    return [password];
  }
}

/**
 * What of an app's variables no log, error or answer may show: values of at least eight characters whose name says that
 * they are secret, and the password of every value that is a URL. docs/secrets.md tells the rule.
 */
export const secretsOfApp = (...environments: Record<string, string>[]): string[] =>
  environments
    .flatMap((environment) => Object.entries(environment))
    .flatMap(([name, value]) =>
      looksSecret.test(name) && !looksOpen.test(name) ? [value, ...passwordsOf(value)] : passwordsOf(value),
    )
    .filter((value) => value.length >= shortest);
