import type { Shell } from "../command.js";

export function addHold({ program, action }: Shell): void {
  program
    .command("hold")
    .summary("no deploys of an app for now")
    .argument("<app>")
    .requiredOption("-m, --message <reason>", "why: whoever deploys will read it")
    .action(
      action(async (session, app: string, options: { message: string }) => {
        const answer = await session.client().hold(app, options.message);
        if (session.json) session.terminal.json(answer);
        else
          session.terminal.line(
            `${app} is on hold. What waits keeps waiting; \`dropless resume ${app}\` ends it.`,
          );
        return 0;
      }),
    );
}
