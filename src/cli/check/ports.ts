import { connect } from "node:net";
import type { AppConfig } from "../../config/schema.js";
import { ask, isHealthy, question } from "../../rollout/ask.js";
import { about, type Check, type Finding, processesOf } from "./finding.js";

/** Does anybody listen there? */
export const listens = (port: number, host = "127.0.0.1"): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ port, host, timeout: 3000 });
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", () => end(true));
    socket.once("error", () => end(false));
    socket.once("timeout", () => end(false));
  });

async function health(app: AppConfig): Promise<Finding> {
  const on = about(app.name);
  const path = app.health.path ?? "/";
  const asked = question(app, app.port as number);
  const began = Date.now();
  const answer = await ask(asked);
  const { host, tls } = asked.way;
  const url = `${tls ? "https" : "http"}://${host.includes(":") ? `[${host}]` : host}:${app.port}${path}`;
  const hint = `Every deploy would fail its health checks: correct \`port\` and \`health\`, or the app. Try: curl -i${tls ? "k" : ""} ${url}`;
  if ("error" in answer) {
    const late = answer.error.startsWith("no answer");
    return on.fault(
      late ? `${url} does not answer within health.timeout` : `nothing answers at ${url}`,
      hint,
    );
  }
  if (!isHealthy(app, answer)) return on.fault(`${url} answers ${answer.status}, which is not healthy`, hint);
  return on.ok(`healthy: ${path} on port ${app.port} answers ${answer.status} in ${Date.now() - began} ms`);
}

/** What runs must be healthy, and where nothing of ours runs nobody else may listen. */
export const checkPorts: Check = async ({ config, processes }) => {
  const all = await processes().catch(() => []);
  const findings = await Promise.all(
    Object.values(config.apps).map(async (app): Promise<Finding[]> => {
      if (app.port === undefined) return [];
      if (processesOf(app, all).some((one) => one.status === "online")) return [await health(app)];
      if (!(await listens(app.port))) return [about(app.name).ok(`port ${app.port} is free for it`)];
      return [
        about(app.name).fault(
          `port ${app.port} is taken by something that is not the app in the PM2 of ${config.pm2Home}`,
          `See who: ss -ltnp 'sport = :${app.port}'. If it is the app under another name or PM2, name it so in \`pm2\`, or set pm2Home.`,
        ),
      ];
    }),
  );
  return findings.flat();
};
