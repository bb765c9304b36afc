import type { Wishes } from "./guess.js";

/** Plain where YAML allows it, else as JSON, which YAML is a superset of. */
const scalar = (value: string): string =>
  /^[A-Za-z0-9_./~@][A-Za-z0-9_./:@~+-]*$/.test(value) &&
  !/:$|^(true|false|null|yes|no|on|off|~)$|^[\d.]+$/i.test(value)
    ? value
    : JSON.stringify(value);

export interface Plan extends Wishes {
  app: string;
  repository: string;
  root: string;
  dataDir: string;
  pm2Home: string;
  secretFile: string;
}

/** The configuration `init` writes: what is needed, and the next things one may want, as remarks. */
export function configText(plan: Plan): string {
  const lines = [`dataDir: ${scalar(plan.dataDir)}`];
  if (plan.publicUrl) {
    lines.push("server:", `  publicUrl: ${scalar(plan.publicUrl)}`);
    lines.push("  trustProxy: [127.0.0.1] # nginx, on this host");
  }
  lines.push(`pm2Home: ${scalar(plan.pm2Home)}`, "apps:", `  ${scalar(plan.app)}:`);
  const add = (text: string) => lines.push(`    ${text}`);
  add(`repository: ${scalar(plan.repository)}`);
  add(`branch: ${scalar(plan.branch ?? "main")}`);
  add(`root: ${scalar(plan.root)}`);
  add(`secrets: [${JSON.stringify(`file:${plan.secretFile}`)}]`);
  if (plan.ecosystem) add(`pm2: { config: ${scalar(plan.ecosystem)} }`);
  else
    add(
      `pm2: { script: ${scalar(plan.script ?? "server.js")}, instances: ${/^-?\d+$/.test(plan.instances ?? "") ? plan.instances : scalar(plan.instances ?? "2")} }`,
    );
  if (plan.port) add(`port: ${plan.port}`);
  else add("# port: 3000 # where it listens; without it, it is judged by its processes alone");
  if (plan.health) add(`health: { path: ${scalar(plan.health)} }`);
  else if (plan.port) add("# health: { path: /healthz } # without it, / must answer below 500");
  add("# shared: [.env, uploads/] # from root/shared into every release");
  add("# migrate: npm run db:migrate");
  return `${lines.join("\n")}\n`;
}

/** The block for the server that has the app's host name; the daemon listens on this host only. */
export function nginxBlock(publicUrl: string | undefined, port = 9000): string {
  const path = publicUrl ? new URL(publicUrl).pathname.replace(/\/*$/, "/") : "/_dropless/";
  return [
    `location ${path} {`,
    `    proxy_pass http://127.0.0.1:${port}/;`,
    "    proxy_http_version 1.1;",
    '    proxy_set_header Connection "";',
    "    proxy_set_header Host $host;",
    "    proxy_set_header X-Forwarded-For $remote_addr;",
    "    proxy_buffering off;",
    "    proxy_read_timeout 1h;",
    "    client_max_body_size 25m;",
    "}",
  ].join("\n");
}

/** `https://github.com/acme/api/settings/hooks/new`, for what is at GitHub. */
export function webhookPage(repository: string): string | undefined {
  const [, name] = /github\.com[:/]+([^/]+\/[^/]+?)(?:\.git)?\/*$/.exec(repository) ?? [];
  return name && `https://github.com/${name}/settings/hooks/new`;
}
