import type { Deploy } from "../domain/deploy.js";
import type { DeployLogs } from "../domain/ports.js";

/**
 * Tells of what the store already holds: first the deploy's log, then those who listen. Nothing here can fail
 * the queue: a log that cannot be written and a listener that throws are reported, not passed on.
 */
export function createJournal({ logs, report }: { logs: DeployLogs; report: (error: unknown) => void }) {
  const listeners = new Set<(deploy: Deploy) => void>();
  /** Deploys whose log is open: those that wait or run. */
  const open = new Set<string>();
  const closing = new Set<Promise<void>>();

  const guarded = (work: () => void): void => {
    try {
      work();
    } catch (error) {
      report(error);
    }
  };

  function close(id: string): void {
    open.delete(id);
    const closed = logs
      .close(id)
      .catch(report)
      .finally(() => closing.delete(closed));
    closing.add(closed);
  }

  const publish = (deploy: Deploy): void => {
    for (const listener of [...listeners]) guarded(() => listener(deploy));
  };

  return {
    subscribe(listener: (deploy: Deploy) => void): () => void {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    publish,
    /** Keeps a log open for followers without writing to it: a deploy that waited when the daemon came back. */
    attend(id: string): void {
      open.add(id);
      guarded(() => logs.open(id));
    },
    /** A new status: into the log, then to the listeners; `end` closes the log behind it. */
    status(deploy: Deploy, { end = false, note }: { end?: boolean; note?: string } = {}): void {
      open.add(deploy.id);
      guarded(() => {
        const log = logs.open(deploy.id);
        if (note !== undefined) log.say(note);
        log.status(deploy.status);
      });
      publish(deploy);
      if (end) close(deploy.id);
    },
    /** The process ends: followers get what there is, and their end. */
    async closeAll(): Promise<void> {
      for (const id of open) close(id);
      await Promise.all(closing);
    },
  };
}

export type Journal = ReturnType<typeof createJournal>;
