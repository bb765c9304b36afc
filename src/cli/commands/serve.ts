import { serve } from "../../daemon/serve.js";
import type { Shell } from "../command.js";

export function addServe({ program, action }: Shell): void {
  program
    .command("serve")
    .summary("the daemon itself, until it gets a signal; its log goes to standard output")
    .action(
      action(async () => {
        await serve(program.opts<{ config?: string }>());
        // The server keeps the process; its end is the signal's.
        return 0;
      }),
    );
}
