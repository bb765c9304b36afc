import type { AppConfig } from "../config/schema.js";
import type { Instance } from "../domain/ports.js";
import { createAdoption } from "./adoption.js";
import type { Booter } from "./boot.js";
import { convergeName } from "./converge.js";
import { type Definition, type Host, type Wanted, wantedFrom } from "./definition.js";
import type { Pm2, Pm2Process } from "./pm2.js";
import { type Proof, preflight } from "./preflight.js";
import type { Rollout, Target } from "./types.js";
import { watch } from "./watch.js";

interface RolloutDeps {
  pm2: Pm2;
  booter: Booter;
  /** The target's PM2 definitions, from its ecosystem file or its inline block. Fault `pm2_config`. */
  readDefinitions(target: Target): Promise<Definition[]>;
  /** Absolute; where what was adopted is remembered. */
  stateDir: string;
  host: Host;
  /** Bytes. */
  freeMemory(): number;
}

/** The names an app has in PM2 as far as its configuration tells. */
function namesOf(app: AppConfig): string[] {
  if ("config" in app.pm2) return (app.pm2.only as string[] | undefined) ?? [app.name];
  return [(app.pm2.name as string | undefined) ?? app.name];
}

const asInstance = (process: Pm2Process): Instance => ({
  pmId: process.pmId,
  name: process.name,
  pid: process.pid,
  status: process.status,
  number: process.number,
  ...(process.marks.release !== undefined && { release: process.marks.release }),
  ...(process.marks.deploy !== undefined && { deploy: process.marks.deploy }),
  restarts: process.restarts,
  uptimeMs: process.status === "online" ? Math.max(0, Date.now() - process.startedAt) : 0,
  memoryBytes: process.memoryBytes,
  cwd: process.cwd,
  script: process.script,
});

export function createRollout(deps: RolloutDeps): Rollout {
  const { pm2, booter, host } = deps;
  const adoption = createAdoption(deps.stateDir);
  // What preflight saw of a release, for its rollout.
  const proofs = new Map<string, Proof>();
  const keyOf = ({ app, release, deploy }: Target) => `${app.name} ${release.name} ${deploy}`;

  const wantedOf = async (target: Target): Promise<Wanted[]> =>
    wantedFrom(await deps.readDefinitions(target), target, host);

  /** At least one more, and as many as the memory has room for, going by the biggest that runs. */
  const fits = (running: readonly Pm2Process[]): number => {
    const biggest = Math.max(0, ...running.map(({ memoryBytes }) => memoryBytes));
    if (biggest === 0) return Number.POSITIVE_INFINITY;
    return Math.max(1, Math.floor(deps.freeMemory() / (1.25 * biggest)));
  };

  const own = ({ marks, name }: Pm2Process, app: AppConfig): boolean =>
    marks.app === app.name || (marks.app === undefined && namesOf(app).includes(name));

  /** One look at PM2 answers all who ask in the same moment, as an overview of many apps does. */
  let look: Promise<Pm2Process[]> | undefined;
  const lookAtOnce = (): Promise<Pm2Process[]> => {
    look ??= Promise.resolve().then(() => {
      // Who asks from here on wants to see what has happened since.
      look = undefined;
      return pm2.list();
    });
    return look;
  };

  const removeAll = async (processes: readonly Pm2Process[]): Promise<void> => {
    await Promise.all(processes.map((process) => pm2.remove(process)));
  };

  return {
    async preflight(target, io) {
      await booter.sweep(target.deploy);
      const serving = (await wantedOf(target)).find(({ serves }) => serves);
      if (!serving) {
        io.log.say("nothing to boot aside: the app has no `port`");
        return;
      }
      proofs.set(keyOf(target), await preflight(booter, serving, target, io));
    },

    async converge(target, io) {
      const { app } = target;
      await booter.sweep(target.deploy);
      const wanted = await wantedOf(target);
      const began = await pm2.ensure();
      if (began === "resurrected") io.log.say("PM2 did not run: started, and brought back what was saved");
      if (began === "started") io.log.say("PM2 did not run: started");

      const names = wanted.map(({ name }) => name);
      const running = await pm2.list();
      const byHand = running.filter(({ name, marks }) => names.includes(name) && marks.app !== app.name);
      if (byHand.length > 0) io.log.say(`adopting ${byHand.length} instances that were started by hand`);
      adoption.remember(app.name, target.deploy, byHand);

      // What serves users comes last: whatever else fails then, they have not noticed.
      const ordered = [...wanted].sort((a, b) => Number(a.serves) - Number(b.serves));
      for (const one of ordered) {
        await convergeName(pm2, one, target, io, {
          probeKey: host.probeKey,
          trusted: io.trusted ?? false,
          proof: proofs.get(keyOf(target)),
          fits,
        });
      }
      const gone = (await pm2.list()).filter(
        ({ name, marks }) => marks.app === app.name && !names.includes(name),
      );
      if (gone.length > 0) {
        io.log.say(
          `removing ${[...new Set(gone.map(({ name }) => name))].join(", ")}: no longer in the ecosystem file`,
        );
        await removeAll(gone);
      }
    },

    async watch(target, io) {
      await watch(pm2, await wantedOf(target), target, io);
    },

    async withdraw(app, io) {
      await pm2.ensure();
      const running = await pm2.list();
      const ours = running.filter(({ marks }) => marks.app === app.name);
      const adopted = adoption.recall(app.name);
      // PM2 keeps the time of creation when it brings one back, and gives it another id.
      const same = (raw: Record<string, unknown>) =>
        running.find(
          (one) => one.name === raw.name && one.raw.created_at === raw.created_at && !ours.includes(one),
        );
      const bringBack = async () => {
        for (const raw of adopted) {
          const there = same(raw);
          if (there && there.status === "online") continue;
          io.log.say(`starting ${String(raw.name)} again as it was before`);
          if (there) await pm2.resume(there);
          else await pm2.restore(raw);
        }
      };
      const shares = [...ours.map(({ mode }) => mode), ...adopted.map((raw) => String(raw.exec_mode))].every(
        (mode) => mode.startsWith("cluster"),
      );
      // Beside the new ones where a port can be shared, else there is a gap anyway.
      if (shares) await bringBack();
      if (ours.length > 0) io.log.say(`removing ${ours.length} instances of the release that failed`);
      await removeAll(ours);
      if (!shares) await bringBack();
      adoption.forget(app.name);
    },

    async instances(app) {
      return (await lookAtOnce()).filter((process) => own(process, app)).map(asInstance);
    },

    save: () => pm2.save(),
    close: () => pm2.close(),
  };
}
