import { stepTime } from "../format.js";
import type { Terminal } from "../terminal.js";
import { safeLine } from "../text.js";
import { commitOf, outcomeLines } from "./outcome.js";
import type { View } from "./view.js";

/** One line after the other, nothing that moves: for CI, pipes and files. */
export function createPlainView(t: Terminal): View {
  let position: number | undefined;
  let open: string | undefined;
  return {
    begin(deploy) {
      const commit = commitOf(deploy);
      t.line(`==> deploy ${deploy.id} of ${deploy.app}${commit ? `: ${commit}` : ""}`);
      if (deploy.status === "queued" && deploy.position && deploy.position !== position)
        t.line(`    waiting, number ${deploy.position} in the queue`);
      position = deploy.position;
    },
    event(event) {
      if (event.event === "log") t.line(`    ${safeLine(event.data.text)}`);
      if (event.event === "step") {
        const { name, status, durationMs } = event.data;
        if (status === "running") t.line(`--> ${name}`);
        // What was skipped before it began is not worth a line.
        if (status === "succeeded" || status === "failed" || (status === "skipped" && open === name))
          t.line(`<-- ${name} ${status}${durationMs ? ` in ${stepTime(event.data)}` : ""}`);
        open = status === "running" ? name : undefined;
      }
    },
    update() {},
    lost: () => t.line("    … the daemon does not answer; trying again"),
    back: () => t.line("    … the daemon answers again"),
    note: (text) => t.line(`    ${text}`),
    end(deploy) {
      t.line();
      for (const line of outcomeLines(deploy, t)) t.line(line);
    },
    close() {},
  };
}
