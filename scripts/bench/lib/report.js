/** From the figures of the runs to medians, ratios and judgements, and to Markdown. */

export function sample(figures) {
  const sorted = [...figures].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const median =
    sorted.length % 2 === 1 ? sorted[Math.floor(middle)] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { median, min: sorted[0], max: sorted.at(-1), runs: figures };
}

/** One row of a benchmark, see run.js. A goal is kept or missed by the unrounded figure. */
export function judge({ ours, theirs, goal, ...rest }) {
  const row = { ...rest, ours: sample(ours), goal };
  if (theirs) {
    row.theirs = sample(theirs);
    const pairs = sample(
      theirs.length === ours.length ? ours.map((figure, run) => figure / theirs[run]) : [],
    );
    // Of counts that are 0 there is none.
    if (row.theirs.median !== 0)
      row.ratio = { median: row.ours.median / row.theirs.median, min: pairs.min, max: pairs.max };
  }
  if (goal) {
    const { median } = row[goal.of];
    row.met =
      (goal.most === undefined || median <= goal.most) && (goal.least === undefined || median >= goal.least);
  }
  return row;
}

const round = (figure) => {
  const digits = Math.abs(figure) >= 100 ? 0 : Math.abs(figure) >= 10 ? 1 : Math.abs(figure) >= 1 ? 2 : 3;
  return figure.toLocaleString("en", { maximumFractionDigits: digits });
};

const shown = ({ median, min, max } = {}, unit = "") => {
  if (median === undefined) return "–";
  const spread = min === undefined || min === max ? "" : ` (${round(min)}–${round(max)})`;
  return `${round(median)}${unit}${spread}`;
};

const goalText = (goal, unit) => {
  if (!goal) return "–";
  const mark = goal.of === "ratio" ? "×" : ` ${unit}`;
  return goal.most === undefined ? `≥ ${goal.least}${mark}` : `≤ ${goal.most}${mark}`;
};

const table = (rows) => [
  "| what | ratio | goal | | dropless | instead | |",
  "|---|---|---|---|---|---|---|",
  ...rows.map(({ what, unit, ratio, goal, met, ours, theirs, against, note }) => {
    const verdict = met === undefined ? "" : met ? "met" : "**missed**";
    const instead = theirs ? `${shown(theirs, ` ${unit}`)} ${against}` : "–";
    return `| ${what} | ${shown(ratio, "×")} | ${goalText(goal, unit)} | ${verdict} | ${shown(ours, ` ${unit}`)} | ${instead} | ${note ?? ""} |`;
  }),
];

export function markdown({ benches, runs, tiny, ...facts }) {
  const parts = benches.map(({ name, about, rows, tables = [], failed, seconds }) => [
    `### ${name}: ${about}`,
    "",
    ...(failed === undefined ? table(rows) : [`**Not measured:** ${failed.split("\n")[0]}`]),
    ...tables.flatMap((text) => ["", text]),
    "",
    `${seconds} s.`,
    "",
  ]);
  const all = benches.flatMap(({ rows = [] }) => rows);
  const missed = all.filter(({ met }) => met === false).map(({ what }) => what);
  const judged = all.filter(({ met }) => met !== undefined).length;
  return [
    "Medians (smallest–largest), one line for each comparison, the ratio first; below 1× dropless is the smaller figure.",
    `${Object.entries(facts)
      .map(([key, value]) => `${key} ${value}`)
      .join(", ")}, ${runs} runs.`,
    ...(tiny || runs < 5
      ? ["", `**${tiny ? "--tiny" : "Fewer than 5 runs"}: these figures prove nothing.**`]
      : []),
    "",
    ...parts.flat(),
    missed.length > 0
      ? `**Goals missed (${missed.length} of ${judged}):** ${missed.join("; ")}.`
      : `Goals: all ${judged} met.`,
    "",
  ].join("\n");
}
