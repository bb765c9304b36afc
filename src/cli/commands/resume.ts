import type { Shell } from "../command.js";

export function addResume({ program, action }: Shell): void {
  program
    .command("resume")
    .summary("end an app's hold")
    .argument("<app>")
    .action(
      action(async (session, app: string) => {
        const answer = await session.client().resume(app);
        if (session.json) session.terminal.json(answer);
        else session.terminal.line(`${app} takes deploys again.`);
        return 0;
      }),
    );
}
