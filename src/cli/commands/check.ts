import type { Finding, Level } from "../check/finding.js";
import { runChecks } from "../check/run.js";
import type { Shell } from "../command.js";
import { exitCode } from "../exit.js";
import { plural } from "../format.js";
import type { Session } from "../session.js";
import type { Terminal } from "../terminal.js";
import { oneLine } from "../text.js";

const marks = (t: Terminal): Record<Level, string> => ({
  ok: t.green("✔"),
  note: t.cyan("•"),
  warning: t.yellow("!"),
  fault: t.red("✘"),
});

function show({ level, subject, message, hint }: Finding, t: Terminal): void {
  t.line(`${marks(t)[level]} ${t.bold(subject.padEnd(9))} ${oneLine(message, 400)}`);
  if (hint) t.line(`  ${" ".repeat(9)} ${t.cyan("→")} ${oneLine(hint, 400)}`);
}

async function check(session: Session): Promise<number> {
  const { terminal: t, json } = session;
  const config = session.config();
  if (!json) t.line(t.dim(`${config.file}: ${plural(Object.keys(config.apps).length, "app")}`));
  const findings: Finding[] = [];
  for await (const found of runChecks(config, session.io.env)) {
    findings.push(...found);
    if (!json) for (const finding of found) show(finding, t);
  }
  const count = (level: Level) => findings.filter((finding) => finding.level === level).length;
  if (json) t.json({ file: config.file, ok: count("fault") === 0, findings });
  else {
    const sum = `${plural(count("fault"), "fault")}, ${plural(count("warning"), "warning")}, ${count("ok")} in order`;
    t.line();
    t.line(count("fault") > 0 ? t.red(sum) : count("warning") > 0 ? t.yellow(sum) : t.green(sum));
  }
  return count("fault") > 0 ? exitCode.failed : exitCode.done;
}

export function addCheck({ program, action }: Shell): void {
  program
    .command("check")
    .summary("the doctor: is everything ready for a deploy?")
    .description(
      "Looks at the configuration, git, PM2 and its instances, health, ports, disk and permissions, and says what to do about each thing it finds. Changes nothing.",
    )
    .addHelpText(
      "after",
      "\nExit code: 0 no fault (warnings are not), 1 faults, 2 the configuration cannot be used.",
    )
    .action(action((session) => check(session)));
}
