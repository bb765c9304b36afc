import { Fault } from "../domain/fault.js";
import { isHealthy } from "./ask.js";
import type { Wanted } from "./definition.js";
import { brokenBesideOld } from "./faults.js";
import { answers, prove, survey } from "./gate.js";
import { plan, type Seen, surgeOf } from "./plan.js";
import type { Pm2, Pm2Process } from "./pm2.js";
import type { Proof } from "./preflight.js";
import { createStandby } from "./standby.js";
import type { StepIo, Target } from "./types.js";
import { createWitness } from "./witness.js";

export interface ConvergeOptions {
  probeKey: string;
  trusted: boolean;
  /** Undefined without a preflight. */
  proof?: Proof;
  /** How many instances fit into the free memory beside what runs. */
  fits(running: readonly Pm2Process[]): number;
}

const alive = new Set(["online", "launching", "one-launch-status"]);
const isServing = (process: Pm2Process): boolean => alive.has(process.status);

/** A bound against a PM2 that never does what it is told. */
const maxSteps = 1000;

const listed = (numbers: readonly number[]): string =>
  `${numbers.length > 1 ? "s" : ""} ${numbers.join(", ")}`;

/** Does an instance run what the target wants? Of a release that was live before, any deploy's will do. */
const isWanted = ({ marks }: Pm2Process, target: Target, trusted: boolean): boolean =>
  marks.app === target.app.name &&
  marks.release === target.release.name &&
  (trusted || marks.deploy === target.deploy);

/**
 * Makes one PM2 name run exactly the wanted instances. Reads what runs, does the plan's next step, reads again.
 *
 * On a fault: what this call has started is out again, all together, as long as what it was to replace is still
 * there; where old ones had to be stopped first (fork mode), they are started again.
 */
export async function convergeName(
  pm2: Pm2,
  wanted: Wanted,
  target: Target,
  io: StepIo,
  options: ConvergeOptions,
): Promise<void> {
  const { log, signal } = io;
  /** What the app does, and not dropless: it boots, it drains. */
  const waiting = <T>(work: () => Promise<T>): Promise<T> => io.stopwatch?.during(work) ?? work();
  const { name, count } = wanted;
  const proven = new Set<number>();
  const started = new Set<number>();
  const halted: number[] = [];
  let retired = 0;
  let found = 0;
  let otherThanUs = false;
  let surveyed = false;
  const standby = createStandby(target);

  const list = async () => (await pm2.list()).filter((process) => process.name === name);
  const witness = await createWitness(pm2, [name], log);

  const isBroken = ({ pmId, marks }: Pm2Process): boolean => {
    const last = witness.of(pmId).answers.slice(-2);
    // On the way back one that hangs is as bad as one that answers badly.
    if (surveyed && last.length === 0) return marks.release !== undefined;
    return last.length === 2 && last.every((status) => !isHealthy(target.app, { status }));
  };

  const view = (processes: readonly Pm2Process[]): Seen[] =>
    processes.map((process) => ({
      pmId: process.pmId,
      number: process.number,
      wanted: isWanted(process, target, options.trusted),
      proven: proven.has(process.pmId),
      // One that this call has started and that ended at once is for the gate to report, not to be tried again.
      serving: isServing(process) || started.has(process.pmId),
      broken: isBroken(process),
      mode: process.mode,
    }));

  const remove = async (processes: readonly Pm2Process[]) => {
    // PM2 gives an id again once its list was empty.
    const forget = () => {
      for (const { pmId } of processes) {
        witness.forget(pmId);
        started.delete(pmId);
        proven.delete(pmId);
      }
    };
    forget();
    await waiting(() => Promise.all(processes.map((process) => pm2.remove(process))));
    forget();
  };

  /** At once. `first`: all but the first of them stand by. */
  const start = async (numbers: readonly number[], first: boolean) => {
    signal.throwIfAborted();
    const startOne = async (number: number, index: number) => {
      const spec = wanted.spec(number);
      const held = first && index > 0 ? standby.hold(number) : {};
      const process = await pm2.start({ ...spec, env: { ...spec.env, ...held } });
      started.add(process.pmId);
      witness.follow(process.pmId);
    };
    // Until the last has its answer: the way back must see what each of them has started.
    const ends = await waiting(() => Promise.allSettled(numbers.map(startOne)));
    for (const end of ends) if (end.status === "rejected") throw end.reason;
  };

  const backOut = async () => {
    const now = await list();
    const mine = now.filter((process) => isWanted(process, target, options.trusted));
    const replaceable = now.filter(
      (process) => !mine.includes(process) && (isServing(process) || halted.includes(process.pmId)),
    );
    // Old ones that are gone are put back by converging on their release; until then the new ones that were
    // proven serve.
    const whole = retired === 0 && (found === 0 || replaceable.length >= count);
    const out = options.trusted || !whole ? mine.filter(({ pmId }) => !proven.has(pmId)) : mine;
    if (out.length > 0) log.say(`${name}: taking out new instance${listed(out.map(({ number }) => number))}`);
    await remove(out);
    standby.liftAll();
    const back = now.filter((process) => halted.includes(process.pmId) && !isServing(process));
    for (const process of back) {
      log.say(`${name}: starting the old instance ${Math.max(0, process.number)} again`);
      await pm2.resume(process);
    }
    if (back.length > 0 && wanted.serves) await answers(target.app);
  };

  try {
    const before = await list();
    const kept = before.filter((process) => isWanted(process, target, options.trusted));
    found = kept.length;
    if (options.trusted) {
      // What served before serves on, as well or badly as it does; the others may be worse.
      for (const { pmId } of kept.filter(isServing)) proven.add(pmId);
    }
    for (let step = 0; ; step++) {
      signal.throwIfAborted();
      const processes = await list();
      if (options.trusted && wanted.serves && !surveyed && proven.size > 0) {
        const others = processes.filter((process) => isServing(process) && !proven.has(process.pmId));
        if (others.length > 0) await survey(target.app, others, witness, { ...options, signal });
        surveyed = true;
      }
      const seen = view(processes);
      const others = seen.filter((one) => !one.wanted && one.serving).length;
      otherThanUs = others > 0;
      const asked = surgeOf(target.app.rollout.surge, count);
      const surge = Math.min(asked, options.fits(processes));
      if (step === 0 && surge < asked && processes.some(isServing))
        log.say(`${name}: memory for ${surge} more instead of ${asked}`);
      const wish = { count, mode: wanted.mode, surge, standby: wanted.standsBy };
      const action = plan(seen, wish);
      if (action.kind === "done") break;
      if (step === maxSteps)
        throw new Fault("pm2_refused", `PM2 does not do what it is told about ${name}`, "See pm2.log.");
      if (action.kind === "start") {
        log.say(
          `${name}: starting instance${listed(action.numbers)} of ${target.release.name}${others > 0 ? ` beside ${others} running` : ""}`,
        );
        await start(action.numbers, others > 0 && !seen.some((one) => one.wanted));
        continue;
      }
      const chosen = processes.filter(({ pmId }) => action.pmIds.includes(pmId));
      const numbers = listed(chosen.map(({ number }) => Math.max(0, number)));
      if (action.kind === "discard") {
        log.say(`${name}: removing instance${numbers} of ${target.release.name}, which cannot stay`);
        await remove(chosen);
      } else if (action.kind === "halt") {
        log.say(`${name}: stopping instance${numbers}: only one release at a time can hold the port`);
        halted.push(...action.pmIds);
        for (const { pmId } of chosen) witness.forget(pmId);
        await waiting(() => Promise.all(chosen.map((process) => pm2.stop(process))));
      } else if (action.kind === "retire") {
        log.say(`${name}: draining and removing old instance${numbers}`);
        retired += chosen.filter(isServing).length;
        await remove(chosen);
      } else {
        standby.lift(chosen.map(({ number }) => number));
        await proveAll(chosen, others === 0);
        for (const { pmId } of chosen) proven.add(pmId);
        log.say(`${name}: instance${numbers} of ${target.release.name} healthy`);
        const joined = chosen.map(({ pmId }) => witness.of(pmId).joined).find(Boolean);
        if (joined)
          log.say(
            `${name}: on ${joined} as the running ones, since the address that the app names cannot be had beside it; after \`pm2 stop ${name}\` and \`pm2 start ${name}\` it is that`,
          );
      }
    }
    // Those that PM2 has brought back count as proven, and may still be booting.
    if (options.trusted && wanted.serves) await answers(target.app, signal);
  } catch (error) {
    // A PM2 that is gone or hangs takes nothing out; the next converge finds what is left.
    const lost = error instanceof Fault && /^pm2_(hung|unreachable)$/.test(error.code);
    if (!lost) await backOut().catch((failed: Error) => log.say(`${name}: ${failed.message}`));
    const isNews = options.proof !== undefined && otherThanUs && wanted.serves;
    if (
      error instanceof Fault &&
      isNews &&
      /^(unhealthy|died|crashed_at_boot|never_listened)$/.test(error.code)
    ) {
      throw brokenBesideOld(error);
    }
    throw error;
  } finally {
    witness.stop();
  }

  async function proveAll(processes: Pm2Process[], alone: boolean): Promise<void> {
    // A new one starts at 0; one that has served for weeks may have been restarted.
    const batch = {
      app: target.app,
      processes,
      serves: wanted.serves,
      alone,
      probeKey: options.probeKey,
      ...patienceOf(options),
      signal,
      stopwatch: io.stopwatch,
    };
    await prove(pm2, batch, witness);
  }
}

/** As preflight saw it, with room for a busy machine; a second to warm up where there was none. Milliseconds. */
function patienceOf({ proof, trusted }: ConvergeOptions): { warmUpMs: number; silentMs: number } {
  if (trusted) return { warmUpMs: 10_000, silentMs: Number.POSITIVE_INFINITY };
  if (!proof) return { warmUpMs: 1000, silentMs: Number.POSITIVE_INFINITY };
  const warmUpMs = proof.warmUpMs < 50 ? 0 : 2 * proof.warmUpMs + 500;
  return { warmUpMs, silentMs: warmUpMs + 2 * proof.slowestMs + 3000 };
}
