import { randomBytes } from "node:crypto";

const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";

const encode = (value: bigint, length: number): string => {
  let text = "";
  for (let rest = value, i = 0; i < length; i++, rest >>= 5n) text = alphabet[Number(rest & 31n)] + text;
  return text;
};

const decode = (text: string): bigint =>
  [...text].reduce((value, digit) => (value << 5n) | BigInt(Math.max(0, alphabet.indexOf(digit))), 0n);

/** Random bytes, fetched many at a time: asking the system for each few costs more than all else of an id. */
export function createRandom(source = randomBytes): (count: number) => Buffer {
  let pool = Buffer.alloc(0);
  let at = 0;
  return (count) => {
    if (at + count > pool.length) {
      pool = source(Math.max(4096, count));
      at = 0;
    }
    at += count;
    return pool.subarray(at - count, at);
  };
}

/**
 * A maker of deploy ids: 26 characters, Crockford's base 32 (as in ULID): 48 bits of milliseconds, then 80
 * random bits. Ids sort by time, also when the clock stands still or jumps back: then the last time is kept
 * and the random part counts up. `last` is the newest that was given out before: the clock may have been set back
 * while nothing ran.
 */
export function createIds(now: () => number = Date.now, random = createRandom(), last = "") {
  let lastTime = Number(decode(last.slice(0, 10)));
  let lastRandom = decode(last.slice(10));
  return (): string => {
    const time = now();
    if (time > lastTime) {
      lastTime = time;
      lastRandom = BigInt(`0x${random(10).toString("hex")}`);
    } else {
      // A random stride, so that a neighbour's id cannot be guessed from one's own.
      lastRandom = (lastRandom + 1n + BigInt(`0x${random(8).toString("hex")}`)) & ((1n << 80n) - 1n);
    }
    return encode(BigInt(lastTime), 10) + encode(lastRandom, 16);
  };
}

/** Looks like a deploy's id, as opposed to an app's name. */
export const isDeployId = (text: string): boolean => /^[0-9a-hjkmnp-tv-z]{26}$/.test(text);
