import { expect, test } from "vitest";
import { secretsOfApp } from "../../src/config/app-secrets.js";

test("values whose name says that they are secret, and passwords of URLs", () => {
  const found = secretsOfApp({
    NPM_TOKEN: "npm_0123456789",
    DB_PASSWORD: "correct horse",
    apiKey: "k-12345678",
    AWS_SECRET_ACCESS_KEY: "aws-aws-aws",
    SESSION_SECRETS: "one-secret,two-secret",
    DATABASE_URL: "postgres://app:p%40ssw0rd!@db:5432/app",
    REDIS: "redis://:only-a-password@cache",
    SENTRY_DSN: "https://0123456789abcdef@sentry.example/1",
  });
  expect(found.sort()).toEqual(
    [
      "npm_0123456789",
      "correct horse",
      "k-12345678",
      "aws-aws-aws",
      "one-secret,two-secret",
      "p%40ssw0rd!",
      "p@ssw0rd!",
      "only-a-password",
      "only-a-password",
      "https://0123456789abcdef@sentry.example/1",
    ].sort(),
  );
});

test("what everybody may see, what only speaks of a secret, and short words are left alone", () => {
  expect(
    secretsOfApp(
      { NODE_ENV: "production", PORT: "3000", GREETING: "hello everybody", PWD: "/srv/api/current" },
      { NEXT_PUBLIC_API_KEY: "pk_0123456789", TOKEN_URL: "https://login.example/token", PASSWORD: "short" },
      { SSH_KEY_PATH: "/etc/keys/id_ed25519", AWS_ACCESS_KEY_ID: "AKIA0123456789", KEYBOARD: "de-latin1-no" },
      { HOMEPAGE: "https://example.com/@me", BROKEN: "https://a:%zz@" },
    ),
  ).toEqual([]);
});
