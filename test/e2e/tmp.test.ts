import { afterAll, it } from "vitest";
import { appFiles } from "../support/apps.js";
import { createHost } from "../support/host.js";
import { createRepo } from "../support/repo.js";
import { freePort } from "../support/temp.js";
for (let i = 0; i < 4; i++)
it(`try ${i}`, async () => {
  const host = await createHost();
  try {
  const port = await freePort();
  const repo = createRepo(host.dir, "api");
  host.addApp("api", { repository: repo.url, port, install: false, build: "node -e 1", pm2: { script: "server.js", instances: 1 } });
  await host.start();
  const sha = repo.commit(appFiles({ kind: "http", release: "one", port }), "x");
  const poll = setInterval(() => { host.call("GET", "/apps").catch(() => {}); }, 50);
  const d = await host.deploy(repo.fullName, sha);
  console.log(d.status, JSON.stringify(d.error));
  clearInterval(poll);
  if (d.status !== "succeeded") { console.log(await host.logOf(d.id)); console.log(host.output.join("\n")); }
  } finally { await host.end(); }
});
