import type { Mode } from "./pm2.js";

/** One process of a PM2 name, as the plan sees it. */
export interface Seen {
  pmId: number;
  number: number;
  /** Of the release that is to run. */
  wanted: boolean;
  /** Of the wanted: seen healthy in this call. */
  proven: boolean;
  /** Takes requests, or will in a moment. */
  serving: boolean;
  /** Of the others: known to answer badly or to be dying. */
  broken: boolean;
  mode: Mode;
}

export interface Wish {
  count: number;
  mode: Mode;
  /** Extra instances at once, at least 1. */
  surge: number;
  /** One can boot and not accept before it is let (standby.ts). */
  standby: boolean;
}

export type Action =
  /** Wanted ones that cannot stay: dead, a number twice, a number too high. */
  | { kind: "discard"; pmIds: number[] }
  /** Others that must make room first (fork mode cannot share a port); kept as stopped for the way back. */
  | { kind: "halt"; pmIds: number[] }
  | { kind: "start"; numbers: number[] }
  | { kind: "prove"; pmIds: number[] }
  /** Others that are replaced: drained and removed. */
  | { kind: "retire"; pmIds: number[] }
  | { kind: "done" };

const ids = (seen: readonly Seen[]): number[] => seen.map(({ pmId }) => pmId);

/** Wanted ones that cannot stay. Of two with the same number the proven, then the older one stays. */
function misfits(wanted: readonly Seen[], count: number): Seen[] {
  const taken = new Set<number>();
  const ranked = [...wanted].sort(
    (a, b) => Number(b.serving) - Number(a.serving) || Number(b.proven) - Number(a.proven) || a.pmId - b.pmId,
  );
  return ranked.filter(({ number, serving }) => {
    if (!serving || number < 0 || number >= count || taken.has(number)) return true;
    taken.add(number);
    return false;
  });
}

/**
 * The next thing to do so that in the end exactly `count` wanted ones run, numbered 0 … count − 1, and nothing
 * else of that name. Pure, and asked again after each step with what PM2 says then: so a crash between any
 * two steps changes nothing.
 *
 * Never fewer than `count` of old and new together serve (when that many did), nor more than `surge` extra; beside
 * old ones, one new instance is proven before a second accepts, and before a second is started where it cannot
 * be held back. It has the highest number, since people run their cron on instance 0.
 */
export function plan(seen: readonly Seen[], { count, mode, surge, standby }: Wish): Action {
  const wanted = seen.filter((one) => one.wanted);
  const others = seen.filter((one) => !one.wanted);
  const serving = others.filter((one) => one.serving);

  const wrong = misfits(wanted, count);
  if (wrong.length > 0) return { kind: "discard", pmIds: ids(wrong) };

  const exclusive = mode === "fork" || serving.some((one) => one.mode === "fork");
  if (exclusive && serving.length > 0) return { kind: "halt", pmIds: ids(serving) };

  const unproven = wanted.filter((one) => !one.proven);
  if (unproven.length > 0) {
    const isFirst = unproven.length === wanted.length && serving.length > 0;
    const highest = [...unproven].sort((a, b) => b.number - a.number).slice(0, 1);
    return { kind: "prove", pmIds: ids(isFirst ? highest : unproven) };
  }

  const numbers = new Set(wanted.map(({ number }) => number));
  const missing = Array.from({ length: count }, (_, number) => number).filter((one) => !numbers.has(one));
  if (missing.length === 0) {
    return others.length > 0 ? { kind: "retire", pmIds: ids(others) } : { kind: "done" };
  }
  if (exclusive || serving.length === 0) return { kind: "start", numbers: missing };

  const room = surge - (wanted.length + serving.length - count);
  if (wanted.length === 0) {
    const [first, ...rest] = [...missing.slice(-1), ...missing.slice(0, -1)] as [number, ...number[]];
    return { kind: "start", numbers: [first, ...(standby ? rest.slice(0, Math.max(0, room - 1)) : [])] };
  }
  const broken = serving.filter((one) => one.broken);
  if (broken.length > 0) return { kind: "retire", pmIds: ids(broken) };
  if (room > 0) return { kind: "start", numbers: missing.slice(0, room) };
  return { kind: "retire", pmIds: ids(serving.slice(0, wanted.length + serving.length - count)) };
}

/** `50%` of 3 is 2: a share is rounded up, so that it is never nothing. */
export function surgeOf(surge: number | string, count: number): number {
  const wish = typeof surge === "number" ? surge : Math.ceil((count * Number.parseInt(surge, 10)) / 100);
  return Math.max(1, wish);
}
