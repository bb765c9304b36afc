/** A real nginx before an app, configured as PM2's users do it: kept connections, and a retry on errors. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "./host.js";
import { endOnInterrupt } from "./interrupt.js";

const config = (dir, port, appPort) => `
${process.getuid?.() === 0 ? "user root;" : ""}
worker_processes 2;
daemon off;
pid ${dir}/nginx.pid;
error_log ${dir}/error.log;
events { worker_connections 1024; }
http {
  access_log off;
  ${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${dir}/${name};`).join("\n  ")}
  upstream app {
    server 127.0.0.1:${appPort};
    keepalive 64;
  }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_next_upstream error timeout http_502 http_503;
    }
  }
}
`;

const accepts = async (port) => {
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

export async function startNginx(appPort) {
  const dir = mkdtempSync(join(tmpdir(), "dropless-nginx-"));
  const port = await freePort();
  const file = join(dir, "nginx.conf");
  writeFileSync(file, config(dir, port, appPort));
  const child = spawn("nginx", ["-p", dir, "-c", file, "-e", join(dir, "error.log")], { stdio: "inherit" });
  let ended;
  const gone = new Promise((resolve) => {
    const end = (error) => {
      ended = error;
      resolve();
    };
    child.once("error", end);
    child.once("exit", (code) => end(new Error(`nginx ended with ${code}`)));
  });
  while (!ended && !(await accepts(port))) await sleep(20);
  if (ended) throw ended;
  const stop = async () => {
    forget();
    child.kill("SIGTERM");
    await gone;
    rmSync(dir, { recursive: true, force: true });
  };
  const forget = endOnInterrupt(stop);
  return { port, stop };
}
