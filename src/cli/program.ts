import { Command, CommanderError } from "commander";
import { createShell } from "./command.js";
import { addCancel } from "./commands/cancel.js";
import { addCheck } from "./commands/check.js";
import { addDeploy } from "./commands/deploy.js";
import { addHold } from "./commands/hold.js";
import { addInit } from "./commands/init.js";
import { addList } from "./commands/list.js";
import { addLogs } from "./commands/logs.js";
import { addResume } from "./commands/resume.js";
import { addRollback } from "./commands/rollback.js";
import { addServe } from "./commands/serve.js";
import { addStatus } from "./commands/status.js";
import { addToken } from "./commands/token.js";
import { exitCode } from "./exit.js";
import type { Io } from "./terminal.js";
import { version } from "./version.js";

/** Runs the command line once; the answer is the exit code (README, The command line). Never throws. */
export async function runCli(args: string[], io: Io): Promise<number> {
  let code: number = exitCode.done;
  const program = new Command("dropless")
    .description("Signed webhook in, health-gated rollout out, nothing dropped.")
    .version(version(), "-V, --version")
    .option(
      "-c, --config <file>",
      "the configuration (else DROPLESS_CONFIG, ./dropless.yaml, /etc/dropless/)",
    )
    .option("--json", "answers as JSON, for programs")
    .option("--no-color", "no colours (NO_COLOR does the same)")
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => void io.stdout.write(text),
      writeErr: (text) => void io.stderr.write(text),
      outputError: (text, write) => write(`${text.replace(/^error: /, "✘ ").trimEnd()} [usage]\n`),
    })
    .showHelpAfterError("  → `dropless --help` lists the commands; `dropless COMMAND --help` explains one.")
    .exitOverride();
  const shell = createShell(program, io, (ended) => {
    code = ended;
  });
  for (const add of [
    addDeploy,
    addStatus,
    addList,
    addLogs,
    addRollback,
    addCancel,
    addHold,
    addResume,
    addInit,
    addCheck,
    addToken,
    addServe,
  ])
    add(shell);
  // What the list of commands says of one is said by its own help too.
  for (const command of program.commands)
    if (command.description() === "") command.description(`${command.summary()}.`);
  try {
    await program.parseAsync(args, { from: "user" });
  } catch (thrown) {
    if (!(thrown instanceof CommanderError)) throw thrown;
    // Help that was asked for is no mistake; help in place of a missing command is.
    return thrown.exitCode === 0 ? exitCode.done : exitCode.usage;
  }
  return code;
}
