import type { ConfigFault } from "./faults.js";
import type { Config } from "./schema.js";

const inside = (path: string, folder: string): boolean => path === folder || path.startsWith(`${folder}/`);

/** Names by which PM2 will know an app; `undefined` when only the ecosystem file can tell. */
const pm2Names = (app: Config["apps"][string]): string[] | undefined =>
  "config" in app.pm2 ? (app.pm2.only as string[] | undefined) : [app.pm2.name ?? app.name];

function* pairs<T>(items: T[]): Generator<[T, T]> {
  for (const [i, later] of items.entries()) for (const earlier of items.slice(0, i)) yield [earlier, later];
}

/** What a schema cannot say: how the keys of a configuration go together. Paths are absolute by now. */
export function brokenRules(config: Config): ConfigFault[] {
  const faults: ConfigFault[] = [];
  const fault = (path: string, message: string, hint: string) => faults.push({ path, message, hint });
  const apps = Object.values(config.apps);

  const { token, app, installation, privateKey } = config.github ?? { token: "none" };
  const parts = [app, installation, privateKey].filter((part) => part !== undefined).length;
  if (parts !== (token === undefined ? 3 : 0))
    fault(
      "github",
      "is not whole",
      "Give `token`; or `app`, `installation` and `privateKey` of a GitHub App, and no `token`.",
    );
  if (apps.length === 0) fault("apps", "names no app", "Describe at least one app to deploy.");
  for (const app of apps) {
    const path = `apps.${app.name}`;
    if ("config" in app.pm2 && "script" in app.pm2)
      fault(
        `${path}.pm2`,
        "has both `config` and `script`",
        "Keep one: your own ecosystem file, or PM2's names for a single app.",
      );
    if (app.on.includes("workflow_run") && !app.workflow)
      fault(
        `${path}.workflow`,
        "is missing",
        "`on` has workflow_run: name the workflow's file, such as ci.yml.",
      );
    if (app.oidc && !app.on.includes("request"))
      fault(
        `${path}.on`,
        "lacks request",
        "`oidc` is for jobs that ask for a deploy: add `request` to `on`.",
      );
    if (app.health.path && app.port === undefined)
      fault(
        `${path}.port`,
        "is missing",
        "`health.path` can only be asked on a port: say where the app listens.",
      );
    if (app.port !== undefined && app.port === config.server.port)
      fault(`${path}.port`, `is dropless's own port ${app.port}`, "Give `server.port` another one.");
    if (
      inside(config.dataDir, app.root) &&
      /^(releases|repo|shared|cache|current)(\/|$)/.test(config.dataDir.slice(app.root.length + 1))
    )
      fault("dataDir", `lies where ${app.name} is deployed`, "Put it outside of every app's `root`.");
  }

  for (const [a, b] of pairs(apps)) {
    const path = `apps.${b.name}`;
    if (a.root === b.root)
      fault(`${path}.root`, `is the root of ${a.name} too`, "Give each app a folder of its own.");
    else
      for (const [outer, inner] of [
        [a, b],
        [b, a],
      ] as const)
        if (
          ["releases", "repo", "shared", "cache", "current"].some((part) =>
            inside(inner.root, `${outer.root}/${part}`),
          )
        )
          fault(
            `apps.${inner.name}.root`,
            `lies inside what dropless manages for ${outer.name}`,
            "Give each app a folder of its own.",
          );
    if (a.port !== undefined && a.port === b.port)
      fault(
        `${path}.port`,
        `is the port of ${a.name} too`,
        "PM2 would share it between both: give each app its own.",
      );
    const [mine, other] = [pm2Names(b), pm2Names(a)];
    const shared = mine?.find((name) => other?.includes(name));
    if (shared !== undefined)
      fault(
        `${path}.pm2`,
        `names the PM2 app "${shared}", as ${a.name} does`,
        "Each PM2 app belongs to one app: change `name` or `only`.",
      );
    const sameFile = "config" in a.pm2 && "config" in b.pm2 && a.pm2.config === b.pm2.config;
    if (sameFile && a.repository === b.repository && a.directory === b.directory && !(mine && other))
      fault(
        `${path}.pm2`,
        `takes the same ecosystem file as ${a.name}`,
        "Say with `only` in both which of its apps are whose.",
      );
  }

  for (const [index, { apps: named = [] }] of config.notify.entries())
    for (const name of named)
      if (!config.apps[name])
        fault(
          `notify.${index}.apps`,
          `"${name}" is no app`,
          `There are: ${apps.map((app) => app.name).join(", ")}.`,
        );

  for (const [a, b] of pairs(config.tokens.map((token, index) => ({ ...token, index })))) {
    if (a.name === b.name)
      fault(`tokens.${b.index}.name`, `"${b.name}" is given twice`, "Give each token a name of its own.");
    if (a.sha256 === b.sha256)
      fault(
        `tokens.${b.index}.sha256`,
        `is the token of ${a.name} too`,
        "Make each its own with `dropless token create`.",
      );
  }
  return faults;
}
