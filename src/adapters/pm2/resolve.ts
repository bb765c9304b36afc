import type { StartSpec } from "../../rollout/pm2.js";
import type { Library, Resolved } from "./library.js";

const logPaths = ["pm_log_path", "pm_out_log_path", "pm_err_log_path"] as const;

/**
 * What God's `prepare` takes, made by PM2's own code from an ecosystem file's fields, but for three things:
 *
 * - Without `instances`, `prepare` starts one process and keeps the instance number it is given. With it,
 *   it counts on from the processes that are there (lib/God.js, injectVariables).
 * - The environment is exactly the app's and the worker's clean base, replaced whole.
 * - Log files are named after the instance number, as PM2 names them after its id, which changes with
 *   every deploy.
 */
export function resolveDefinition(library: Library, base: Record<string, string>, spec: StartSpec): Resolved {
  const { instances, ...definition } = structuredClone(spec.definition) as Record<string, unknown>;
  const verified = library.common.verifyConfs([{ ...definition, env: {} }]);
  if (verified instanceof Error) throw verified;
  const resolved = library.common.resolveAppAttributes(
    { cwd: spec.definition.cwd, pm2_home: library.home },
    verified[0],
  );

  // PM2's own additions: the home of another uid, python's buffering.
  const added = Object.fromEntries(
    ["HOME", "PYTHONUNBUFFERED"].flatMap((name) => (resolved.env[name] ? [[name, resolved.env[name]]] : [])),
  );
  const env: Record<string, unknown> = { ...base, ...added, ...spec.env, PM2_HOME: library.home };
  // In the environment it would win over the number that `pm2 scale` gives to a copy.
  delete env[spec.instanceVar];

  const increment = resolved.increment_var;
  if (typeof increment === "string") env[increment] = (Number(env[increment]) || 0) + spec.number;

  delete resolved.instances;
  const numbered: Record<string, string> = {};
  if (resolved.merge_logs !== true) {
    for (const key of logPaths) {
      const path = resolved[key];
      if (typeof path === "string") numbered[key] = path.replace(/\.log$/, `-${spec.number}.log`);
    }
  }
  return {
    ...resolved,
    ...numbered,
    merge_logs: true,
    namespace: resolved.namespace ?? "default",
    km_link: false,
    env,
    instance_var: spec.instanceVar,
    [spec.instanceVar]: spec.number,
  };
}
