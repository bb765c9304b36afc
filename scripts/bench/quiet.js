/**
 * What the users of the live app feel while a deploy installs and builds on the same cores: the p99 of its answers
 * then, over that just before, with nothing else going on. The lockfile changes each time, so that packages are
 * installed too.
 */
import { spawn } from "node:child_process";
import { cpus } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { createSample } from "./lib/sample.js";
import { between, startSteady, within } from "./lib/steady.js";
import { createWays } from "./lib/ways.js";

const perSecond = 100;

/** From the first command to the end of the build; what follows is the rollout's (rollout.js). */
function buildOf(name, { sent, built, deploy }) {
  if (name === "script") return [sent, built];
  const build = deploy.steps.find((step) => step.name === "build");
  return [sent, Date.parse(build.startedAt) + build.durationMs];
}

/** Steps in the order of a deploy, and how much of what is slow falls to each. */
const phases = ["fetch", "install", "build", "preflight", "rollout"];

function phasesOf({ steps }) {
  return steps
    .filter(({ name, startedAt }) => phases.includes(name) && startedAt)
    .map(({ name, startedAt, durationMs }) => [
      name,
      Date.parse(startedAt),
      Date.parse(startedAt) + durationMs,
    ]);
}

/** What no build can be better than: as many processes as cores that only compute, at the priority of a build. */
function startSpinners() {
  const how = 'echo 19 2>/dev/null >/proc/self/autogroup; exec chrt --idle 0 "$@"';
  const args = [
    "-c",
    how,
    "sh",
    process.execPath,
    "-e",
    "process.on('disconnect', () => process.exit()); const go = () => { const until = Date.now() + 50; while (Date.now() < until); setImmediate(go); }; go();",
  ];
  const all = cpus().map(() =>
    spawn("/bin/sh", args, { detached: true, stdio: ["ignore", "ignore", "ignore", "ipc"] }),
  );
  return () => {
    for (const one of all) one.kill("SIGKILL");
  };
}

const spread = ({ p50, p90, p99, p999 }) =>
  [p50, p90, p99, p999].map((ms) => (ms === undefined ? "–" : ms.toFixed(2))).join(" | ");

async function run({ runs, tiny, log }) {
  const restMs = tiny ? 1000 : 8000;
  const names = ["dropless", "script"];
  const sample = await createSample({ tiny, locks: tiny ? 2 : runs + 1, log });
  let ways;
  let load;
  let stopSpinners = () => {};
  try {
    ways = await createWays({ sample, names });
    const first = ways.commit(0);
    for (const name of names) await ways[name].deploy(first);
    const seen = { dropless: [], script: [] };
    const floors = [];
    const told = { "at rest": [], "beside spinners": [], "with the script": [] };
    let isFirst = true;
    for (let at = 0; at < runs; at++) {
      const sha = ways.commit(tiny ? (at + 1) % 2 : at + 1);
      for (const name of names) {
        const way = ways[name];
        load = startSteady({ port: way.port, perSecond });
        await sleep(restMs + 2000);
        const until = Date.now();
        let spun;
        if (name === "dropless") {
          stopSpinners = startSpinners();
          await sleep(restMs);
          stopSpinners();
          spun = Date.now();
          await sleep(500);
        }
        const ended = await way.deploy(sha);
        const [from, to] = buildOf(name, ended);
        const result = await load.stop();
        load = undefined;
        isFirst &&= result.isFirst;
        const rest = within(result.answers, until - restMs, until);
        const busy = within(result.answers, from, to);
        told["at rest"].push(...between(result.answers, until - restMs, until));
        if (name === "script") told["with the script"].push(...between(result.answers, from, to));
        else {
          floors.push(within(result.answers, spun - restMs, spun));
          told["beside spinners"].push(...between(result.answers, spun - restMs, spun));
          for (const [phase, began, over] of phasesOf(ended.deploy))
            told[phase] = [...(told[phase] ?? []), ...between(result.answers, began, over)];
        }
        seen[name].push({ rest, busy, seconds: (to - from) / 1000 });
        log(
          `run ${at + 1}, ${name}: p99 ${rest.p99.toFixed(2)} ms at rest, ${busy.p99.toFixed(2)} ms in ${((to - from) / 1000).toFixed(1)} s of building, ${busy.failed} of ${busy.count} failed`,
        );
      }
    }
    const of = (name, when, what) => seen[name].map((one) => one[when][what]);
    const ratio = (name, what) => seen[name].map(({ rest, busy }) => busy[what] / rest[what]);
    const note = `${perSecond} requests a second${isFirst ? ", askers at priority -10" : ""}; lockfile changed`;
    return {
      rows: [
        {
          what: "the live app's p99 while dropless builds (instead: at rest)",
          unit: "ms",
          ours: of("dropless", "busy", "p99"),
          theirs: of("dropless", "rest", "p99"),
          against: "at rest",
          goal: { of: "ratio", most: 1.3 },
          note,
        },
        {
          what: "the floor: beside two processes that only compute, at the priority of a build (instead: at rest)",
          unit: "ms",
          ours: floors.map(({ p99 }) => p99),
          theirs: of("dropless", "rest", "p99"),
          against: "at rest",
        },
        {
          what: "the same with the in-place script, for comparison (first figure: the script)",
          unit: "ms",
          ours: of("script", "busy", "p99"),
          theirs: of("script", "rest", "p99"),
          against: "at rest",
          note,
        },
        {
          what: "p99 while building over p99 at rest: dropless and the script",
          unit: "×",
          ours: ratio("dropless", "p99"),
          theirs: ratio("script", "p99"),
          against: "in-place script",
        },
        {
          what: "requests that failed while it was installed and built",
          unit: "",
          ours: of("dropless", "busy", "failed"),
          theirs: of("script", "busy", "failed"),
          against: "in-place script",
        },
        {
          what: "how long fetch, install and build took under that load",
          unit: "s",
          ours: seen.dropless.map(({ seconds }) => seconds),
          theirs: seen.script.map(({ seconds }) => seconds),
          against: "in-place script",
        },
      ],
      tables: [
        [
          "Answers of all runs together, ms:",
          "",
          "| when | answers | p50 | p90 | p99 | p99.9 |",
          "|---|---|---|---|---|---|",
          ...Object.entries(told).map(([when, answers]) => {
            const all = within(answers, 0, Number.POSITIVE_INFINITY);
            return `| ${phases.includes(when) ? `dropless: ${when}` : when} | ${all.count} | ${spread(all)} |`;
          }),
        ].join("\n"),
      ],
      facts: { seen, floors },
    };
  } finally {
    load?.abort();
    stopSpinners();
    await ways?.end();
    await sample.end();
  }
}

export const bench = {
  name: "quiet",
  about: "what the live app's users feel while a deploy builds on the same cores",
  run,
};
