import { copyFileSync, existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import type { Pm2Event, StartSpec } from "../../rollout/pm2.js";
import { asEvent } from "./events.js";
import { type Client, loadPm2, remote } from "./library.js";
import type { Calls, RawProcess } from "./messages.js";
import { resolveDefinition } from "./resolve.js";

type Handlers = { [Name in keyof Calls]: (...args: Calls[Name]["args"]) => Promise<Calls[Name]["result"]> };

/** The calls of the worker. They connect on first use, never start a God (but `launch`), and end with it. */
export function createCalls(deps: { onEvent: (event: Pm2Event) => void; onGone: () => void }): Handlers {
  const library = loadPm2();
  const base = { ...process.env } as Record<string, string>;
  delete base.PM2_PROGRAMMATIC;
  delete base.PM2_HOME;
  let connecting: Promise<Client> | undefined;
  let listening: Promise<void> | undefined;
  let names = new Set<string>();

  // PM2's sockets reconnect for ever and replay what waited, perhaps to another, empty God. So the end of
  // the connection is the end of this process.
  const gone = () => {
    deps.onGone();
    process.exit(0);
  };

  const connect = () =>
    (connecting ??= new Promise<Client>((resolve, reject) => {
      const client = library.createClient();
      client.launchRPC((error) => (error ? reject(error) : resolve(client)));
      client.client?.sock.once("reconnect attempt", gone);
    }));

  const call = async <T = RawProcess>(method: string, ...args: unknown[]): Promise<T> =>
    remote<T>(await connect(), method, ...args);

  const first = (processes: RawProcess | RawProcess[]): RawProcess => {
    const [started] = [processes].flat();
    if (!started) throw new Error("PM2 started nothing and did not say why");
    return started;
  };

  const saved = (): Record<string, unknown>[] => {
    for (const file of [library.dumpFile, library.dumpBackup]) {
      try {
        return JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>[];
      } catch {
        // Absent or torn: the backup is tried, then there is nothing to bring back.
      }
    }
    return [];
  };

  const ignoreUnknown = (error: Error) => {
    if (!/id unknown/.test(error.message)) throw error;
    return null;
  };

  return {
    list: () => call<RawProcess[]>("getMonitorData", {}),

    async start(spec: StartSpec) {
      return first(await call<RawProcess[]>("prepare", resolveDefinition(library, base, spec)));
    },

    async restore(raw) {
      const { pm_id, instances, status, unique_id, ...rest } = raw;
      return first(await call<RawProcess[]>("prepare", rest));
    },

    async remove(pmId) {
      // As PM2's own client does: a watched app must not be started again by its watcher.
      await call("stopWatch", "deleteProcessId", pmId).catch(() => null);
      await call("deleteProcessId", pmId).catch(ignoreUnknown);
      return null;
    },

    async stop(pmId) {
      await call("stopProcessId", pmId).catch(ignoreUnknown);
      return null;
    },

    async resume(pmId) {
      await call("startProcessId", pmId);
      return null;
    },

    async save() {
      const processes = await call<RawProcess[]>("getMonitorData", {});
      const environments = processes
        .filter((one) => !one.pm2_env.pmx_module)
        .map(({ pm2_env: { instances, pm_id, ...kept } }) => kept);
      if (existsSync(library.dumpFile)) copyFileSync(library.dumpFile, library.dumpBackup);
      // It holds the apps' whole environments; PM2 writes it readable for all.
      const temporary = `${library.dumpFile}.${process.pid}`;
      writeFileSync(temporary, JSON.stringify(environments, null, 2), { mode: 0o600 });
      renameSync(temporary, library.dumpFile);
      return null;
    },

    async launch() {
      await new Promise<void>((resolve, reject) =>
        library
          .createClient()
          .launchDaemon({ interactor: false }, (error) =>
            error ? reject(new Error(String(error))) : resolve(),
          ),
      );
      const processes = saved();
      for (const one of processes) await call("prepare", one);
      return processes.length;
    },

    async listen(wanted) {
      names = new Set(wanted);
      listening ??= connect().then(
        (client) =>
          new Promise<void>((resolve, reject) => {
            client.launchBus((error, bus) => {
              if (error) return reject(error);
              client.sub_sock?.once("reconnect attempt", gone);
              bus.on("*", (topic, packet) => {
                const event = asEvent(topic, packet);
                if (event && names.has(event.name)) deps.onEvent(event);
              });
              resolve();
            });
          }),
      );
      await listening;
      return null;
    },
  };
}
