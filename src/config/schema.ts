import { isIP } from "node:net";
import { z } from "zod";
import { endedStatuses } from "../domain/deploy.js";
import { isBranchName } from "../domain/ref.js";
import { duration, memory } from "./units.js";

const isNetwork = (text: string): boolean => {
  const [address = "", bits, ...more] = text.split("/");
  const family = isIP(address);
  if (!family || more.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
};

/** `env:NAME` or `file:PATH`; the loader puts the value in its place. */
export const isSecretReference = (text: string): boolean =>
  /^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$/.test(text);
const secretReference = z
  .string()
  .refine(isSecretReference, "write env:NAME or file:PATH, never the secret itself");

const environment = z.record(
  z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "a variable's name has letters, digits and underscores"),
  z.union([z.string(), z.number(), z.boolean()]).transform(String),
);

const relativePath = z
  .string()
  .min(1)
  .refine(
    (path) => !path.startsWith("/") && !path.split("/").includes(".."),
    "stay inside: a relative path without ..",
  );

/** Neither the release as a whole, nor what is dropless's own in it. */
const ofRelease = /^(?:\.?\/)*(?:\.?|\.dropless(?:\/.*)?)$/;
const ownPath = relativePath.refine((path) => !ofRelease.test(path), "a path in the release, not .dropless");

const repository = z
  .string()
  .regex(
    /^(?!-)(?![a-z0-9+]*::)[^\s\u0000-\u001f\u007f]+$/i,
    "a git URL or a path, without spaces or a leading dash",
  );

/** What git itself accepts as a branch's name, less what could be taken for an option or a full ref. */
const branch = z
  .string()
  .refine((name) => !name.startsWith("refs/"), "the bare name, such as main, without refs/heads/")
  .refine(isBranchName, "a branch's name as git writes it");

/** By lockfile or package ("auto"), a shell command, or not at all. */
const command = z.union([z.literal(false), z.string().min(1)]);

const ecosystem = z.strictObject({
  config: relativePath,
  /** Names of the file's apps to deploy; all of them by default. */
  only: z.array(z.string().min(1)).min(1).optional(),
});
/** PM2's own names, as in an ecosystem file; what PM2 knows and we do not is passed on. */
const inlinePm2 = z.looseObject({
  script: z.string().min(1),
  name: z.string().min(1).optional(),
  instances: z.union([z.number().int(), z.literal("max"), z.string().regex(/^-?\d+$/)]).optional(),
});

export const triggers = ["push", "request", "workflow_run", "release", "deployment"] as const;

const httpUrl = z
  .url({ protocol: /^https?$/, error: "a full URL such as https://deploy.example.com" })
  .transform((url) => url.replace(/\/+$/, ""));

/** Whose identity tokens deploy an app in place of a secret. */
const oidc = z.strictObject({
  issuer: httpUrl
    .refine(
      (url) => /^https:|^http:\/\/(localhost|127\.0\.0\.1)(:|$)/.test(url),
      "https: who could change the keys on their way here could sign for everybody",
    )
    .default("https://token.actions.githubusercontent.com"),
  audience: z.string().min(1),
  repository: z.string().regex(/^[\w.-]+\/[\w.-]+$/, "write owner/name"),
  ref: z.string().startsWith("refs/", "the full ref, such as refs/heads/main").optional(),
  environment: z.string().min(1).optional(),
  workflow: z.string().min(1).optional(),
});
export type OidcConfig = z.output<typeof oidc>;

export const appSchema = z.strictObject({
  repository,
  branch: branch.default("main"),
  root: z
    .string()
    .min(1)
    .refine((path) => !/^\/+$/.test(path), "a folder of its own, never /"),
  secrets: z.array(secretReference).default([]),
  oidc: oidc.optional(),
  on: z.array(z.enum(triggers)).min(1).default(["push", "request"]),
  workflow: z.string().min(1).optional(),
  directory: relativePath.default("."),
  watch: z.array(z.string().min(1)).min(1).optional(),
  shared: z.array(ownPath).default([]),
  install: command.default("auto"),
  build: command.default("auto"),
  reuse: z.union([z.boolean(), z.literal("modules")]).default(true),
  cache: z.array(ownPath).default([]),
  migrate: z.string().min(1).optional(),
  hooks: z
    .strictObject({ beforeRollout: z.string().min(1).optional(), afterRollout: z.string().min(1).optional() })
    .prefault({}),
  env: environment.default({}),
  envFile: z.string().min(1).optional(),
  buildEnv: environment.default({}),
  pm2: z.union([ecosystem, inlinePm2]),
  port: z.number().int().min(1).max(65535).optional(),
  health: z
    .strictObject({
      path: z.string().startsWith("/").optional(),
      timeout: duration.prefault("5s"),
      successes: z.number().int().min(1).max(100).default(3),
      ready: duration.prefault("30s"),
      soak: duration.prefault("5s"),
      watch: duration.prefault("10s"),
    })
    .prefault({}),
  preflight: z.boolean().default(true),
  drain: z.union([z.literal(false), z.strictObject({ timeout: duration.prefault("20s") })]).prefault({}),
  rollout: z
    .strictObject({
      surge: z
        .union([
          z.number().int().min(1),
          z.string().regex(/^([1-9]\d?|100)%$/, "a number, or a share such as 50%"),
        ])
        .default("50%"),
    })
    .prefault({}),
  timeouts: z
    .strictObject({
      fetch: duration.prefault("15m"),
      install: duration.prefault("10m"),
      build: duration.prefault("15m"),
      migrate: duration.prefault("10m"),
    })
    .prefault({}),
  limits: z.strictObject({ memory: memory.default("75%") }).prefault({}),
  keep: z.number().int().min(1).default(5),
});

/** Addresses whose X-Forwarded-For counts. */
const proxy = z
  .string()
  .refine(
    (text) => ["loopback", "linklocal", "uniquelocal"].includes(text) || isNetwork(text),
    "an address, a network such as 10.0.0.0/8, or loopback",
  );

const notification = z
  .strictObject({
    type: z.enum(["slack", "discord", "webhook"]),
    url: z.string().min(1),
    /** Signs what a `webhook` gets. */
    secret: secretReference.optional(),
    on: z
      .array(z.enum(endedStatuses))
      .min(1)
      .default(["succeeded", "failed", "rolled_back", "rollback_failed"]),
    apps: z.array(z.string().min(1)).min(1).optional(),
  })
  .refine(({ type, url }) => isSecretReference(url) || (type === "webhook" && /^https?:\/\//.test(url)), {
    path: ["url"],
    error:
      "write env:NAME or file:PATH, for whoever knows the address can post; a `webhook` may have a URL here",
  })
  .refine(({ type, secret }) => type === "webhook" || secret === undefined, {
    path: ["secret"],
    error: "only a `webhook` is signed",
  });
/** References resolved. */
export type NotifyConfig = z.output<typeof notification>;

/** As whom GitHub is told of deploys: by a person's token, or as an installed GitHub App. */
const github = z.strictObject({
  token: secretReference.optional(),
  /** The App's id, or its client id. */
  app: z.union([z.number().int().positive(), z.string().min(1)]).optional(),
  installation: z.number().int().positive().optional(),
  privateKey: secretReference.optional(),
  apiUrl: httpUrl.default("https://api.github.com"),
});

export const scopes = ["read", "deploy", "admin"] as const;
export type Scope = (typeof scopes)[number];

export const configSchema = z.strictObject({
  dataDir: z.string().min(1).default(".dropless"),
  server: z
    .strictObject({
      host: z.string().min(1).default("127.0.0.1"),
      port: z.number().int().min(0).max(65535).default(9000),
      publicUrl: httpUrl.optional(),
      trustProxy: z.array(proxy).default([]),
    })
    .prefault({}),
  tokens: z
    .array(
      z.strictObject({
        name: z.string().min(1),
        scope: z.enum(scopes),
        sha256: z.string().regex(/^[0-9a-f]{64}$/, "64 hex digits, as `dropless token create` prints them"),
      }),
    )
    .default([]),
  pm2Home: z.string().min(1).optional(),
  metrics: z.boolean().default(false),
  audit: z.boolean().default(false),
  openapi: z.boolean().default(false),
  /** At the start only, or also every so often. */
  catchUp: z.union([z.boolean(), duration.refine((ms) => ms >= 10_000, "10s at least")]).default(false),
  notify: z.array(notification).default([]),
  github: github.optional(),
  apps: z.record(
    z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, "a name has letters, digits, dots, dashes, underscores"),
    appSchema,
  ),
});

type ParsedApp = z.output<typeof appSchema>;

/** One app, ready to use: paths absolute, secrets resolved, defaults filled in. Durations in milliseconds. */
export interface AppConfig extends Omit<ParsedApp, "secrets"> {
  name: string;
  /** Absolute. */
  root: string;
  /** The secrets themselves. */
  secrets: string[];
  /** Absolute when given. */
  envFile?: string;
}

export interface Config extends Omit<z.output<typeof configSchema>, "apps" | "pm2Home"> {
  /** The file it came from; absolute. */
  file: string;
  /** Absolute. */
  dataDir: string;
  /** Absolute. */
  pm2Home: string;
  apps: Record<string, AppConfig>;
}
