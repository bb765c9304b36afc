import { Fault } from "../domain/fault.js";
import { exitCode, exitOfStatus } from "./exit.js";
import { follow } from "./follow.js";
import type { Session } from "./session.js";
import { createSilentView, createView } from "./view/view.js";

interface WatchOptions {
  /** What Ctrl-C does besides stopping to watch; by default the deploy simply goes on. */
  onInterrupt?: (id: string) => Promise<number>;
}

/** Shows a deploy to its end, and exits with its outcome. */
export async function watchDeploy(
  session: Session,
  id: string,
  { onInterrupt }: WatchOptions = {},
): Promise<number> {
  const { terminal: t } = session;
  const view = session.json ? createSilentView() : createView(t);
  const interrupt = new AbortController();
  const stop = () => interrupt.abort();
  process.once("SIGINT", stop).once("SIGTERM", stop);
  try {
    const ended = await follow(id, { client: session.client(), view, signal: interrupt.signal });
    if (session.json) t.json(ended);
    else view.end(ended);
    return exitOfStatus(ended.status);
  } catch (thrown) {
    view.close();
    if (!(thrown instanceof Fault) || thrown.code !== "interrupted") throw thrown;
    if (onInterrupt) return await onInterrupt(id);
    t.error(`\nThe deploy goes on without you. Watch: dropless logs ${id} -f   Stop: dropless cancel ${id}`);
    return exitCode.failed;
  } finally {
    view.close();
    process.off("SIGINT", stop).off("SIGTERM", stop);
  }
}
