import type { Command } from "commander";
import { toFault } from "../domain/fault.js";
import { exitOfFault } from "./exit.js";
import { createSession, type Session, type SharedOptions } from "./session.js";
import type { Io } from "./terminal.js";
import { oneLine } from "./text.js";

/** What a command file gives: it adds itself to the program. */
export interface Shell {
  program: Command;
  io: Io;
  /** Wraps a command's action: a session in, an exit code out, a Fault said in words. */
  action<Rest extends unknown[]>(
    run: (session: Session, ...rest: Rest) => Promise<number> | number,
  ): (...rest: Rest) => Promise<void>;
}

export function createShell(program: Command, io: Io, exit: (code: number) => void): Shell {
  return {
    program,
    io,
    action:
      (run) =>
      async (...rest) => {
        const session = createSession(io, program.opts<SharedOptions>());
        try {
          exit(await run(session, ...rest));
        } catch (thrown) {
          const fault = toFault(thrown);
          sayFault(session, fault);
          exit(exitOfFault(fault.code));
        }
      },
  };
}

/** What happened and why, what to do, and the code to search for. */
function sayFault(
  { terminal: t, json }: Pick<Session, "terminal" | "json">,
  fault: { code: string; message: string; hint: string },
): void {
  if (json) {
    t.json({ error: { code: fault.code, message: fault.message, hint: fault.hint } });
    return;
  }
  const [first = "", ...more] = fault.message.split("\n");
  t.error(`${t.red("✘")} ${oneLine(first, 2000)} ${t.dim(`[${fault.code}]`)}`);
  for (const line of more) t.error(`  ${oneLine(line, 2000)}`);
  if (fault.hint) t.error(`  ${t.cyan("→")} ${oneLine(fault.hint, 2000)}`);
}
