import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "./temp.ts";
import { findTool } from "./tools.ts";

export interface Nginx {
  port: number;
  stop(): Promise<void>;
}

/** The example file of the project with this test's ports in place of 80, 3000 and 9000. */
export const exampleConfig = (ports: { listen: number; app: number; daemon: number }): string =>
  readFileSync(join(import.meta.dirname, "../../scripts/nginx/dropless.conf"), "utf8")
    .replace("listen 80;", `listen 127.0.0.1:${ports.listen};`)
    .replace("listen [::]:80;", "")
    .replace("127.0.0.1:3000", `127.0.0.1:${ports.app}`)
    .replace("127.0.0.1:9000", `127.0.0.1:${ports.daemon}`);

const wrap = (dir: string, http: string): string => `
${process.getuid?.() === 0 ? "user root;" : ""}
worker_processes 2;
daemon off;
pid ${dir}/nginx.pid;
error_log ${dir}/error.log;
events { worker_connections 1024; }
http {
  access_log off;
  ${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${dir}/${name};`).join("\n  ")}
  ${http}
}
`;

function launch(dir: string, http: string, args: string[]) {
  const nginx = findTool("nginx");
  if (!nginx)
    throw new Error("nginx is not installed, and DROPLESS_TEST_ALL=1 asks for everything to be tested");
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, "nginx.conf"), wrap(dir, http));
  return spawn(nginx, ["-p", dir, "-c", join(dir, "nginx.conf"), "-e", join(dir, "error.log"), ...args], {
    stdio: ["ignore", "ignore", "pipe"],
  });
}

/** What `nginx -t` says of the contents of an `http` block; empty when it is content and has nothing to warn of. */
export async function testConfig(dir: string, http: string): Promise<string> {
  const child = launch(dir, http, ["-t"]);
  let said = "";
  child.stderr.on("data", (chunk) => {
    said += chunk;
  });
  const [code] = await once(child, "close");
  return code === 0 && !said.includes("[warn]") ? "" : said || `exit code ${code}`;
}

/**
 * A real nginx, everything of its own below `dir`; `http` gives the contents of its `http` block for the port that was
 * free a moment ago (another one is tried when it is not any more). Resolves when it accepts connections.
 */
export async function startNginx(dir: string, http: (port: number) => string, tries = 3): Promise<Nginx> {
  const port = await freePort();
  const child = launch(dir, http(port), []);
  let said = "";
  child.stderr.on("data", (chunk) => {
    said += chunk;
  });
  let ended = false;
  const gone = once(child, "close").finally(() => {
    ended = true;
  });
  const accepts = async () => {
    const socket = connect(port, "127.0.0.1");
    try {
      await once(socket, "connect");
      return true;
    } catch {
      return false;
    } finally {
      socket.destroy();
    }
  };
  // What accepts might be somebody else, who took the port; then nginx ends, which the pid file tells apart.
  while (!ended && !(existsSync(join(dir, "nginx.pid")) && (await accepts()))) await sleep(20);
  if (ended) {
    if (tries > 1 && said.includes("bind()")) return startNginx(dir, http, tries - 1);
    throw new Error(`nginx ended: ${said}`);
  }
  return {
    port,
    async stop() {
      child.kill("SIGTERM");
      await gone;
    },
  };
}
