/**
 * `npm run demo`: a real repository, a real app under a real PM2, real requests. Four deploys, and what users
 * noticed of each. Exits 0 only if no request failed and each deploy ended as it should; leaves nothing behind.
 */
import { commits } from "./demo/app.js";
import { startLoad } from "./demo/load.js";
import { colour, count, createScreen, seconds } from "./demo/screen.js";
import { createWorld } from "./demo/world.js";
import { setUp } from "./set-up.js";

setUp();
// Only now there is something built to import.
const { createClient } = await import("../dist/http/client.js");

const world = await createWorld().catch((error) => {
  const missing = error.code === "ENOENT" ? "git is not installed, or not in PATH" : error.message;
  process.stderr.write(`✘ The demo cannot begin: ${missing}\n`);
  process.exit(2);
});
const screen = createScreen();
let load;
let client;
let stopping;

/** Ends everything, once, and then the process. */
function leave(code) {
  stopping ??= (async () => {
    screen.close();
    if (code === 130) screen.line("\nending the demo's daemon, PM2 and app …");
    await world.end();
    process.exit(code);
  })();
  return stopping;
}
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => void leave(130));

const rows = [];

/** Follows a deploy to its end, and notes what the load saw meanwhile. */
async function act(title, note, wanted, ask) {
  const before = load ? { sent: load.counts.sent, failed: load.counts.failed } : undefined;
  const since = () => ({ sent: load.counts.sent - before.sent, failed: load.counts.failed - before.failed });
  const began = Date.now();
  screen.begin(title, { note, counts: before && since });
  let deploy;
  for await (const event of client.followEvents(await ask())) {
    if (event.event === "step") screen.step(event.data.name, event.data.status, event.data.durationMs);
    if (event.event === "end") deploy = event.data;
  }
  const tookMs = Date.now() - began;
  const counted = before ? since() : undefined;
  const right = deploy.status === wanted;
  const said = deploy.error
    ? [`${colour.yellow(`${deploy.status}:`)} ${deploy.error.message}`, colour.dim(`→ ${deploy.error.hint}`)]
    : [colour.green(deploy.status)];
  screen.end(...said, ...(right ? [] : [colour.red(`this should have ended ${wanted}`), ...deploy.logTail]));
  rows.push({ title, counted, tookMs, right });
}

const pushed = async ({ files, message }) => world.push(world.commit(files, message), message);

function summary() {
  screen.line();
  screen.line(
    colour.dim(`   ${"".padEnd(36)}${"requests".padStart(10)}${"failed".padStart(10)}${"took".padStart(10)}`),
  );
  for (const { title, counted, tookMs, right } of rows) {
    const sent = counted ? count(counted.sent) : "-";
    const failed = counted ? count(counted.failed) : "-";
    const mark = right && !counted?.failed ? colour.green("✔") : colour.red("✘");
    screen.line(
      ` ${mark} ${title.padEnd(36)}${sent.padStart(10)}${failed.padStart(10)}${seconds(tookMs).padStart(10)}`,
    );
  }
  const { sent, failed, reasons } = load.counts;
  screen.line();
  const sum = `${count(failed)} of ${count(sent)} requests failed.`;
  screen.line(failed === 0 ? colour.green(colour.bold(`   ${sum}`)) : colour.red(`   ${sum}`));
  for (const [reason, times] of reasons) screen.line(`   ${times} × ${reason}`);
  return failed === 0 && sent > 0 && rows.every(({ right }) => right);
}

try {
  screen.line(
    colour.bold("dropless") + colour.dim("  signed webhook in, health-gated rollout out, nothing dropped"),
  );
  screen.line(colour.dim(`Everything happens in ${world.dir} and on 127.0.0.1; Ctrl-C ends it.`));
  await world.startDaemon();
  client = createClient({ url: world.url, token: world.token() });

  await act("The first deploy", "a signed push; nobody uses it yet", "succeeded", () =>
    pushed(commits.first),
  );
  load = startLoad(world.appPort, { onAnswer: screen.answer });
  await act("A good deploy, under load", "GET and POST, quick and slow", "succeeded", () =>
    pushed(commits.good),
  );
  await act("A broken commit, under the same load", "it needs a file that is not there", "failed", () =>
    pushed(commits.broken),
  );
  await act(
    "A rollback, under the same load",
    "nothing is installed, nothing is built",
    "succeeded",
    async () => (await client.rollback("demo")).id,
  );
  await load.stop();
  await leave(summary() ? 0 : 1);
} catch (error) {
  if (!stopping) {
    screen.line(colour.red(`✘ ${error.message}`));
    if (error.hint) screen.line(`  → ${error.hint}`);
  }
  await leave(1);
}
