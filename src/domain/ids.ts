import { randomBytes } from "node:crypto";

const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";

/** Digits of base 32, the highest first. */
type Digits = Uint8Array;

const textOf = (digits: Digits): string => {
  let text = "";
  for (const digit of digits) text += alphabet[digit];
  return text;
};

const digitsOf = (text: string, length: number): Digits =>
  Uint8Array.from({ length }, (_, i) => Math.max(0, alphabet.indexOf(text[i] || "0")));

/** Milliseconds are 48 bits: too many for shifts of numbers. */
const timeText = (time: number): string =>
  textOf(Uint8Array.from({ length: 10 }, (_, i) => Math.floor(time / 32 ** (9 - i)) % 32));

const timeOf = (digits: Digits): number => digits.reduce((time, digit) => time * 32 + digit, 0);

/** Counts up by one and the number that the bytes' lower bits are. What is carried out of the highest digit is lost. */
function countUp(digits: Digits, stride: Uint8Array): void {
  let carry = 1;
  for (let i = digits.length - 1, n = stride.length - 1; i >= 0; i--, n--) {
    const digit = (digits[i] ?? 0) + ((stride[n] ?? 0) & 31) + carry;
    digits[i] = digit & 31;
    carry = digit >> 5;
  }
}

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
 * A maker of deploy ids: 26 characters, Crockford's base 32 (as in ULID): 48 bits of milliseconds, then 75
 * random bits behind a 0. Ids sort by time, also when the clock stands still or jumps back: then the last time is kept
 * and the random part counts up. `last` is the newest that was given out before: the clock may have been set back
 * while nothing ran.
 */
export function createIds(now: () => number = Date.now, random = createRandom(), last = "") {
  let lastTime = timeOf(digitsOf(last, 10));
  let lastText = timeText(lastTime);
  const lastRandom = digitsOf(last.slice(10), 16);
  return (): string => {
    const time = now();
    if (time > lastTime) {
      lastTime = time;
      lastText = timeText(time);
      // The highest digit is left to be counted up into: a million of one millisecond sort.
      lastRandom.fill(0);
      countUp(lastRandom, random(15));
    } else {
      // A random stride, so that a neighbour's id cannot be guessed from one's own.
      countUp(lastRandom, random(12));
    }
    return lastText + textOf(lastRandom);
  };
}

/** Looks like a deploy's id, as opposed to an app's name. */
export const isDeployId = (text: string): boolean => /^[0-9a-hjkmnp-tv-z]{26}$/.test(text);
