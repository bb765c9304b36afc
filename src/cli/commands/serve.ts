import type { Shell } from "../command.js";

export function addServe({ program, action }: Shell): void {
  program
    .command("serve")
    .summary("the daemon itself, until it gets a signal; its log goes to standard output")
    .action(
      action(async () => {
        // Only those who serve wait for the server's libraries to load.
        const { startLightly } = await import("../../daemon/light.js");
        const isReady = startLightly();
        const { serve } = await import("../../daemon/serve.js");
        await serve(program.opts<{ config?: string }>());
        isReady();
        // The server keeps the process; its end is the signal's.
        return 0;
      }),
    );
}
