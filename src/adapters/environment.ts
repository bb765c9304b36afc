import { delimiter, dirname } from "node:path";

/** Of the daemon's environment, only what every process needs: none of its secrets. */
export function cleanEnvironment(source: NodeJS.ProcessEnv = process.env): Record<string, string> {
  const env: Record<string, string> = {};
  for (const name of ["HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ"]) {
    const value = source[name];
    if (value !== undefined) env[name] = value;
  }
  // Under systemd PATH may lack the very Node that runs this.
  const path = (source.PATH ?? "/usr/local/bin:/usr/bin:/bin").split(delimiter);
  const own = dirname(process.execPath);
  env.PATH = (path.includes(own) ? path : [...path, own]).join(delimiter);
  return env;
}
