/**
 * What a deploy costs beside what one would use instead: the in-place script everybody writes, the same started by
 * adnanh/webhook (where it is installed), `pm2 deploy`, and the bare work. See lib/ways.js.
 */
import { covered } from "./lib/intervals.js";
import { sample as spread } from "./lib/report.js";
import { createSample } from "./lib/sample.js";
import { createWays } from "./lib/ways.js";

const settings = "soak and watch 0 s; health.successes 3, surge 50%, two instances";
const stepNames = ["fetch", "install", "build", "preflight", "rollout", "activate", "watch", "prune"];

/** Of one deploy, for each step: how long, and how long its commands and boots took; milliseconds. */
function partsOf({ deploy, sent, ended, trace }) {
  const steps = deploy.steps
    .filter(({ status, startedAt }) => status === "succeeded" && startedAt)
    .map(({ name, startedAt, durationMs, ownMs }) => {
      const began = Date.parse(startedAt);
      const work = covered(trace, began, began + durationMs);
      return { name, ms: durationMs, work, own: durationMs - work, said: ownMs ?? 0 };
    });
  return { steps, own: ended - sent - covered(trace, sent, ended) };
}

/** What the deploy says of itself, all steps together; seconds. */
const saidOf = ({ deploy }) => deploy.steps.reduce((sum, { ownMs = 0 }) => sum + ownMs, 0) / 1000;

const median = (figures) => (figures.length > 0 ? Math.round(spread(figures).median) : 0);

/** Each step's own time: the median over the deploys. */
function stepTable(title, deploys) {
  const all = deploys.map(partsOf);
  const line = (name) => {
    const of = all.flatMap(({ steps }) => steps.filter((step) => step.name === name));
    return of.length > 0
      ? `| ${name} | ${["ms", "work", "own", "said"].map((key) => median(of.map((step) => step[key]))).join(" | ")} |`
      : [];
  };
  const between = all.map(({ own, steps }) => own - steps.reduce((sum, step) => sum + step.own, 0));
  return [
    `${title}: milliseconds of each step, of these in git, npm, cp and boots, the rest, and what the step says is dropless's own (medians)`,
    "",
    "| step | all | git, npm, cp, boots | the rest | own |",
    "|---|---|---|---|---|",
    ...stepNames.flatMap(line),
    `| before and between | ${median(between)} | 0 | ${median(between)} | |`,
    `| **sum** | | | ${median(all.map(({ own }) => own))} | ${median(deploys.map(saidOf).map((one) => 1000 * one))} |`,
  ].join("\n");
}

const seconds = (results) => results.map((result) => result.seconds);

async function run({ runs, tiny, log }) {
  const sample = await createSample({ tiny, locks: tiny ? 2 : runs + 1, log });
  let ways;
  try {
    const names = tiny
      ? ["dropless", "script", "floor"]
      : ["dropless", "script", "webhook", "pm2deploy", "floor"];
    ways = await createWays({ sample, names, defaults: !tiny });
    const there = names.filter((name) => ways[name]);
    const first = ways.commit(0);
    for (const name of there) await ways[name].deploy(first);
    log(`first deploys done: ${there.join(", ")}`);

    /** All of these ways, run by run, each time with a new commit. */
    const measure = async (what, chosen, { lockOf, options }) => {
      const results = Object.fromEntries(chosen.map((name) => [name, []]));
      for (let at = 0; at < runs; at++) {
        const sha = ways.commit(lockOf(at));
        for (const name of chosen) {
          const result = await ways[name].deploy(sha, options);
          results[name].push(result);
          log(`${what}, run ${at + 1}: ${name} ${result.seconds.toFixed(2)} s`);
        }
      }
      return results;
    };

    const code = await measure("code changed", there, { lockOf: () => 0, options: { install: false } });
    const nothing = { again: [], rollback: [], script: [] };
    for (let at = 0; at < runs; at++) {
      for (const [name, work] of [
        ["again", () => ways.dropless.again()],
        ["script", () => ways.script.deploy()],
        ["rollback", () => ways.dropless.rollback()],
      ]) {
        const result = await work();
        nothing[name].push(result);
        log(`nothing to build, run ${at + 1}: ${name} ${result.seconds.toFixed(2)} s`);
      }
    }
    const lock = await measure(
      "lockfile changed",
      there.filter((name) => ["dropless", "script", "floor"].includes(name)),
      { lockOf: (at) => (at % (tiny ? 2 : runs)) + 1 - (tiny && at % 2), options: { install: true } },
    );
    const patient = tiny ? [] : [await ways.dropless.patient(), await ways.dropless.patient()];

    const against = {
      script: "in-place script",
      webhook: "adnanh/webhook + script",
      pm2deploy: "pm2 deploy",
      floor: "bare work",
    };
    const rows = [];
    const compare = (what, results, goal) => {
      for (const name of Object.keys(results).filter((name) => name !== "dropless"))
        rows.push({
          what,
          unit: "s",
          ours: seconds(results.dropless),
          theirs: seconds(results[name]),
          against: against[name],
          goal: name === "script" ? { of: "ratio", most: goal } : undefined,
          note: name === "floor" ? "git fetch, install if the lockfile changed, build, one boot" : settings,
        });
    };
    compare("deploy, code changed, lockfile not", code, 0.4);
    compare("deploy, lockfile changed", lock, 1);
    for (const [what, name] of [
      ["nothing to build: the same commit again", "again"],
      ["nothing to build: a rollback", "rollback"],
    ])
      rows.push({
        what,
        unit: "s",
        ours: seconds(nothing[name]),
        theirs: seconds(nothing.script),
        against: against.script,
        goal: { of: "ratio", most: 0.2 },
        note: settings,
      });
    const beyond = [
      ["code changed", code.dropless],
      ["lockfile changed", lock.dropless],
      ["the same commit again", nothing.again],
      ["a rollback", nothing.rollback],
    ];
    for (const [what, results] of beyond)
      rows.push({
        what: `time beyond git, npm, cp and boots: ${what}`,
        unit: "s",
        ours: results.map((result) => partsOf(result).own / 1000),
        goal: { of: "ours", most: 2 },
        note: settings,
      });
    for (const [what, results] of beyond)
      rows.push({
        what: `own time, as the steps say it themselves: ${what}`,
        unit: "s",
        ours: results.map(saidOf),
        goal: { of: "ours", most: 2 },
        note: `${settings}; drains are not counted here, and copies of packages are not either`,
      });
    if (patient.length > 0)
      rows.push({
        what: "for information: the same commit again with the defaults, soak 5 s and watch 10 s",
        unit: "s",
        ours: [patient.at(-1).seconds],
      });
    return {
      rows,
      tables: beyond.map(([what, results]) => stepTable(what, results)),
      facts: {
        packages: sample.packages,
        floor: lock.floor.map(({ parts }) => parts),
        steps: Object.fromEntries(beyond.map(([what, results]) => [what, results.map(partsOf)])),
      },
    };
  } finally {
    await ways?.end();
    await sample.end();
  }
}

export const bench = {
  name: "deploys",
  about: "what a deploy costs beside the in-place script, adnanh/webhook, pm2 deploy and the bare work",
  run,
};
