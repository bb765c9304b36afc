import type { Shell } from "../command.js";
import { outcomeLines } from "../view/outcome.js";

export function addCancel({ program, action }: Shell): void {
  program
    .command("cancel")
    .summary("stop a deploy; what it began is put back")
    .argument("<id>", "of a waiting or running deploy")
    .action(
      action(async (session, id: string) => {
        const { terminal: t } = session;
        const deploy = await session.client().cancel(id);
        if (session.json) t.json(deploy);
        else if (deploy.finishedAt) for (const line of outcomeLines(deploy, t)) t.line(line);
        else t.line(`${deploy.app}: canceling ${deploy.id}. Watch: dropless logs ${deploy.id} -f`);
        return 0;
      }),
    );
}
