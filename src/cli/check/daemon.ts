import { toFault } from "../../domain/fault.js";
import { createClient } from "../../http/client.js";
import { healthSchema } from "../../http/wire.js";
import { addressOf } from "../session.js";
import { about, type Check, type Finding } from "./finding.js";
import { listens } from "./ports.js";

const on = about("daemon");
const isLoopback = (host: string): boolean => /^(127\.|::1$|localhost$)/.test(host);

async function local(url: string, host: string, port: number): Promise<Finding> {
  if (port === 0)
    return on.note("server.port is 0: another one at every start", "Give it a number, such as 9000.");
  try {
    const { version } = await createClient({ url, patienceMs: 0 }).health();
    return on.ok(`dropless ${version} answers at ${url}`);
  } catch (thrown) {
    if (!(await listens(port, isLoopback(host) ? host : undefined)))
      return on.note(`no daemon answers at ${url}`, "Start it: systemctl start dropless, or dropless serve.");
    return on.fault(
      `port ${port} is taken: ${toFault(thrown).message}`,
      `See who: ss -ltnp 'sport = :${port}'; or give server.port another number.`,
    );
  }
}

async function outside(publicUrl: string): Promise<Finding> {
  const url = `${publicUrl.replace(/\/+$/, "")}/healthz`;
  const hint =
    "GitHub could not reach it either: compare the nginx location with docs/nginx.md. (Some networks do not let a host reach its own public address; then try from elsewhere.)";
  try {
    const answer = await fetch(url, { redirect: "manual", signal: AbortSignal.timeout(10_000) });
    const body: unknown = await answer.json().catch(() => undefined);
    if (answer.ok && healthSchema.safeParse(body).success) return on.ok(`${publicUrl} leads to it`);
    return on.warning(`${url} answers ${answer.status}, and that is not dropless`, hint);
  } catch (error) {
    const cause =
      error instanceof Error ? ((error.cause as Error | undefined)?.message ?? error.message) : "";
    return on.warning(`${url} cannot be reached: ${cause}`, hint);
  }
}

/** The daemon from here, and from where GitHub sees it. */
export const checkDaemon: Check = async ({ config: { server } }) => {
  const findings = [await local(addressOf(server), server.host, server.port)];
  const [here] = findings;
  if (server.publicUrl && here?.level === "ok") findings.push(await outside(server.publicUrl));
  if (server.publicUrl?.startsWith("http:"))
    findings.push(
      on.warning(
        "server.publicUrl is not https: logs and read tokens travel in the open",
        "Give the host name TLS.",
      ),
    );
  if (server.publicUrl && server.trustProxy.length === 0 && isLoopback(server.host))
    findings.push(
      on.warning(
        "server.trustProxy is empty: every sender looks like the proxy, and shares one limit for unsigned requests",
        "Set trustProxy: [127.0.0.1] when nginx runs on this host and sets X-Forwarded-For.",
      ),
    );
  if (!isLoopback(server.host))
    findings.push(
      on.warning(
        `it listens on ${server.host} without TLS`,
        "Listen on 127.0.0.1, and let nginx give it a place under your host name.",
      ),
    );
  return findings;
};
