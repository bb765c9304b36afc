import type { AppConfig } from "../../config/schema.js";
import type { Pm2Process } from "../../rollout/pm2.js";
import { duration, plural } from "../format.js";
import { about, type Check, type Finding, processesOf } from "./finding.js";

const truthy = (value: unknown): boolean =>
  value !== undefined && value !== null && value !== false && value !== "";

/** What the configuration itself says about how the app will run; an ecosystem file is only known in a release. */
function inlineMode(app: AppConfig): Finding[] {
  if ("config" in app.pm2 || app.port === undefined) return [];
  const pm2 = app.pm2 as Record<string, unknown>;
  const fork = pm2.exec_mode === undefined ? pm2.instances === undefined : pm2.exec_mode === "fork";
  if (!fork) return [];
  return [
    about(app.name).warning(
      "it will run in fork mode, in which two instances cannot share a port: every deploy has a gap of about 0.5 s",
      "Say pm2: { …, instances: 2 }; one instance in cluster mode drops nothing either.",
    ),
  ];
}

function traps(app: AppConfig, mine: Pm2Process[]): Finding[] {
  const on = about(app.name);
  const findings: Finding[] = [];
  const some = (test: (one: Pm2Process) => boolean, make: (found: Pm2Process[]) => Finding) => {
    const found = mine.filter(test);
    if (found.length > 0) findings.push(make(found));
  };
  const ids = (found: Pm2Process[]) => found.map((one) => one.pmId).join(" ");
  const byHand = ({ marks }: Pm2Process) => marks.release === undefined;

  some(
    (one) => byHand(one) && one.status === "online",
    (found) =>
      on.note(
        `${plural(found.length, "instance")} started by hand (from ${found[0]?.cwd}); the first deploy adopts them`,
        found.some((one) => one.mode === "fork")
          ? "That once it costs fork mode's gap, about 0.5 s; choose the time. The receipt counts it."
          : "They have no drain yet: that once it costs what one `pm2 reload` costs. The receipt counts it; later deploys drop nothing.",
      ),
  );
  some(
    (one) => one.mode === "fork" && app.port !== undefined && one.status === "online",
    () =>
      on.warning(
        "it runs in fork mode: two instances cannot share a port, so every replacement has a gap of about 0.5 s",
        'Set `instances` and exec_mode: "cluster" where PM2 gets it from (ecosystem file, or pm2 in dropless.yaml).',
      ),
  );
  some(
    (one) => !["online", "launching", "stopped"].includes(one.status),
    (found) =>
      on.warning(
        `${plural(found.length, "instance")} ${found.length === 1 ? "is" : "are"} ${found[0]?.status} (id ${ids(found)})`,
        "`pm2 logs` says why; the next good deploy replaces them.",
      ),
  );
  some(
    (one) => one.status === "online" && one.restarts >= 5 && Date.now() - one.startedAt < 600_000,
    (found) =>
      on.warning(
        `it restarts again and again: ${Math.max(...found.map((one) => one.restarts))} restarts, the last ${duration(Date.now() - Math.max(...found.map((one) => one.startedAt)))} ago`,
        "`pm2 logs` says why. A deploy does not count what happened before it.",
      ),
  );
  some(
    (one) => truthy(one.raw.watch),
    () =>
      on.warning(
        "PM2 watches its files and restarts it at every change, undrained",
        "Take `watch` out of the ecosystem file: a release never changes.",
      ),
  );
  some(
    (one) => truthy(one.raw.cron_restart),
    () =>
      on.note(
        "cron_restart restarts every instance at once, without looking at whether it comes up",
        "A deploy that runs at that time may fail its watch; better restart inside the app, or not at all.",
      ),
  );
  some(
    (one) => byHand(one) && /\/current\//.test(one.script),
    () =>
      on.warning(
        "it was started from a `current` link: an instance that crashes comes back as whatever the link shows then, unproven",
        "The first deploy ends this: dropless starts instances from their release's own path.",
      ),
  );
  some(
    (one) => app.drain === false && one.status === "online" && one.killTimeout < 3000,
    (found) =>
      on.warning(
        `drain is off, and PM2 kills the app ${duration(found[0]?.killTimeout ?? 0)} after the stop signal`,
        "Set kill_timeout above the app's longest request, or let dropless drain.",
      ),
  );
  some(
    (one) => {
      const interpreter = String(one.raw.exec_interpreter ?? "node");
      return (
        one.status === "online" &&
        one.mode === "fork" &&
        !/(^|\/)node(@.*)?$/.test(interpreter) &&
        app.port !== undefined
      );
    },
    (found) =>
      on.warning(
        `PM2 starts it by ${String(found[0]?.raw.exec_interpreter)} and not by node, so dropless cannot drain it`,
        "Name the JavaScript file as `script`, instead of npm or a shell.",
      ),
  );
  const releases = new Set(mine.filter((one) => one.status === "online").map((one) => one.marks.release));
  if (releases.size > 1)
    findings.push(
      on.warning(
        `instances of ${releases.size} releases run at once`,
        "If no deploy runs now, deploy once more: it ends with exactly one.",
      ),
    );
  if (findings.every(({ level }) => level === "note") && mine.length > 0)
    findings.push(
      on.ok(`${plural(mine.filter((one) => one.status === "online").length, "instance")} online`),
    );
  return findings;
}

export const checkInstances: Check = async ({ config, processes }) => {
  const all = await processes();
  return Object.values(config.apps).flatMap((app) => {
    const mine = processesOf(app, all);
    const running = traps(app, mine);
    return mine.some((one) => one.mode === "fork") ? running : [...inlineMode(app), ...running];
  });
};
