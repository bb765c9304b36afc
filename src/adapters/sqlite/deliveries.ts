import type { Delivery } from "../../domain/request.js";
import type { Row } from "./driver.js";
import type { prepareAll } from "./statements.js";

/** From how many deploys on the index is brought up to date though others wait: a megabyte, and many for each page. */
const most = 4_096;
/** How many keys are indexed at a time: a millisecond, in which nobody is answered. */
const atOnce = 300;

type Statements = Pick<
  ReturnType<typeof prepareAll>,
  | "indexed"
  | "setIndexed"
  | "notIndexed"
  | "indexId"
  | "indexBody"
  | "lastSeq"
  | "madeByBody"
  | "madeById"
  | "lastRepeat"
  | "repeated"
  | "repeatsOfRepeated"
>;

/** What the index does not have yet: of each key the last deploy. */
interface Ahead {
  /** Seq of the last deploy that is indexed, and of the last one there is. */
  upto: number;
  last: number;
  ids: Map<string, number>;
  bodies: Map<string, number>;
}

/** Keys on their way into the index, the last first, up to a deploy. */
interface Round {
  to: number;
  ids: string[];
  bodies: string[];
}

/** A hash in hex as SQLite keeps it. */
export const bytesOf = (hex: string): Uint8Array => Buffer.from(hex, "hex");

/** No app's name has a space. */
const keyOf = (app: string, key: string): string => `${app} ${key}`;
const partsOf = (key: string): [string, string] => {
  const end = key.indexOf(" ");
  return [key.slice(0, end), key.slice(end + 1)];
};

const lastFirst = (keys: Map<string, number>): string[] => [...keys.keys()].sort().reverse();

const without = (keys: Map<string, number>, upto: number): Map<string, number> =>
  new Map([...keys].filter(([, seq]) => seq > upto));

/**
 * By what a delivery is known again. It is durable in the row of its deploy. Its keys are random, so that in the index
 * each would write a page of its own: they wait in memory, and many go there in their order, those of one page together.
 */
export function createDeliveries(sql: Statements) {
  let ahead = read();
  let round: Round | undefined;
  /** What the running transaction has changed here; to read all of it again takes tens of milliseconds. */
  let undo: (() => void)[] = [];

  function set(keys: Map<string, number>, key: string, seq: number): void {
    const before = keys.get(key);
    undo.push(() => (before === undefined ? keys.delete(key) : keys.set(key, before)));
    keys.set(key, seq);
  }

  function read(): Ahead {
    const upto = Number(sql.indexed.get()?.upto);
    const all: Ahead = { upto, last: Number(sql.lastSeq.get()?.seq), ids: new Map(), bodies: new Map() };
    for (const { app, id, body_sha256, seq } of sql.notIndexed.all(upto))
      for (const [keys, key] of [
        [all.ids, id],
        [all.bodies, body_sha256],
      ] as const)
        keys.set(keyOf(String(app), String(key)), Number(seq));
    return all;
  }

  function begin(): Round {
    const { last, ids, bodies } = ahead;
    return { to: last, ids: lastFirst(ids), bodies: lastFirst(bodies) };
  }

  function end({ to }: Round): void {
    sql.setIndexed.run(to);
    const before = ahead;
    undo.push(() => {
      ahead = before;
    });
    ahead = { ...before, upto: to, ids: without(before.ids, to), bodies: without(before.bodies, to) };
    round = undefined;
  }

  return {
    /** Seq of the deploy that it has made, found by its body or else by its id. */
    find(app: string, { id, bodySha256 }: Delivery): number | undefined {
      const { ids, bodies } = ahead;
      const seq =
        bodies.get(keyOf(app, bodySha256)) ??
        sql.madeByBody.get(app, bytesOf(bodySha256))?.deploy ??
        ids.get(keyOf(app, id)) ??
        sql.madeById.get(app, id)?.deploy;
      return seq === undefined ? undefined : Number(seq);
    },
    /** That deploy, or the one that repeats it. Whoever calls has written the deploys that are meant. */
    get: (seq: number): Row | undefined => sql.lastRepeat.get(seq, seq),
    /** Whatever has led to the earlier deploy leads to this one. */
    repeat(seq: number, earlier: string): void {
      sql.repeatsOfRepeated.run(seq, earlier);
      sql.repeated.run(seq, earlier);
    },
    /** A deploy is added, and what has made it. */
    add(app: string, delivery: Delivery | undefined, seq: number): void {
      const { last } = ahead;
      undo.push(() => {
        ahead.last = last;
      });
      ahead.last = seq;
      if (!delivery) return;
      set(ahead.ids, keyOf(app, delivery.id), seq);
      set(ahead.bodies, keyOf(app, delivery.bodySha256), seq);
    },
    isBehind: (): boolean => ahead.upto < ahead.last,
    isFarBehind: (): boolean => ahead.last - ahead.upto > most,
    /** Indexes some more, in a transaction of its own. True when more of the same round is left. */
    index(): boolean {
      round ??= begin();
      const { ids, bodies } = ahead;
      if (round.ids.length > 0)
        for (const key of round.ids.splice(-atOnce).reverse()) {
          const [app, id] = partsOf(key);
          sql.indexId.run(app, id, ids.get(key) ?? null);
        }
      else
        for (const key of round.bodies.splice(-atOnce).reverse()) {
          const [app, hash] = partsOf(key);
          sql.indexBody.run(app, bytesOf(hash), bodies.get(key) ?? null);
        }
      if (round.ids.length + round.bodies.length === 0) end(round);
      return round !== undefined;
    },
    /** The transaction is durable. */
    committed(): void {
      undo = [];
    },
    /** The transaction was taken back. A round is begun anew: of two pieces that put the same in nothing comes. */
    takenBack(): void {
      for (const step of undo.reverse()) step();
      undo = [];
      round = undefined;
    },
  };
}
