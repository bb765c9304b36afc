import fc from "fast-check";
import { expect, test } from "vitest";
import { createRedactor } from "../../src/domain/redact.js";

const secret = "s3cr3t/key+with spaces";

test("a secret is taken out in every form that programs print it in", () => {
  const { text } = createRedactor([secret, "two\nlines-of-a-key\nthree", 'quo"ted\\secret']);
  const base64 = (value: string) => Buffer.from(value).toString("base64");
  for (const printed of [
    secret,
    encodeURIComponent(secret),
    encodeURIComponent(secret).toLowerCase().replace("s3cr3t", "s3cr3t"),
    encodeURIComponent(secret).replaceAll("%20", "+"),
    base64(secret),
    base64(`user:${secret}`),
    base64(`me:${secret}`),
    base64(`x:${secret}:behind`),
    Buffer.from(`ab${secret}`).toString("base64url"),
    "lines-of-a-key",
    Buffer.from(secret).toString("hex"),
    Buffer.from(secret).toString("hex").toUpperCase(),
    JSON.stringify('quo"ted\\secret'),
  ]) {
    const clean = text(`before ${printed} after`);
    expect(clean).toMatch(/^before .*\*\*\*.* after$/);
    // No run of the secret or of its encoding is left that says more than a few characters of it.
    expect(clean.length).toBeLessThan("before *** after".length + 24);
  }
});

test("credentials in a URL are taken out, the rest of it stays", () => {
  const { text } = createRedactor([]);
  expect(text("fatal: https://user:pw@host/a.git, http://TOKEN@host, ssh://git@host/a")).toBe(
    "fatal: https://***@host/a.git, http://***@host, ssh://git@host/a",
  );
  expect(text("https://u:p@ss@host/x")).toBe("https://***@host/x");
  for (const harmless of [
    "https://registry.example/@scope/pkg",
    "mail me@example.com",
    "https://host?mail=a@b.c",
    "see https://host and me@example.com",
  ])
    expect(text(harmless)).toBe(harmless);
});

test("what is too short to be a secret is left alone, and no secrets at all are fine", () => {
  expect(createRedactor(["test", "", "   "]).text("a test of 1 thing")).toBe("a test of 1 thing");
});

test("a longer secret goes before one that it contains", () => {
  expect(createRedactor(["abcdef", "abcdefghijkl"]).text("x abcdefghijkl y abcdef z")).toBe("x *** y *** z");
});

test("what is learned later is taken out from then on, also of a stream that is under way", () => {
  const redactor = createRedactor([]);
  const stream = redactor.stream();
  expect(stream.write("hunter22 ")).toBe("hunter22 ");
  redactor.learn(["hunter22"]);
  expect(stream.write("hunter22 hun") + stream.write("ter22") + stream.end()).toBe("*** ***");
  redactor.learn([]);
  expect(redactor.text("hunter22")).toBe("***");
});

const word = fc.stringMatching(/^[ab/:@. \n]{0,12}$/);
const piece = fc.oneof(
  word,
  fc.constantFrom("aabbaabb", "abababa", "https://", "bob:pw@host", "aabba", "hunter22", "hun", "ter22"),
);

test("in a stream, however it is cut, it comes out as it would whole", () => {
  const redactor = createRedactor(["aabbaabb", "hunter22", "first-line\nsecond-line"]);
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 30 }),
      fc.array(fc.nat(400), { maxLength: 40 }),
      (parts, cuts) => {
        const whole = parts.join("");
        const stream = redactor.stream();
        let out = "";
        let from = 0;
        for (const to of [...cuts].sort((a, b) => a - b)) {
          out += stream.write(whole.slice(from, Math.max(from, to)));
          from = Math.max(from, to);
        }
        out += stream.write(whole.slice(from)) + stream.end();
        expect(out).toBe(redactor.text(whole));
      },
    ),
    { numRuns: 3000 },
  );
});

test("a stream that cannot become a secret is not held back", () => {
  const stream = createRedactor(["hunter22"]).stream();
  expect(stream.write("Compiling 3 of 9 ...\n")).toBe("Compiling 3 of 9 ...\n");
  expect(stream.write("password: hunt")).toBe("password: ");
  expect(stream.write("er22\n")).toBe("***\n");
});

test("10 MB without a space, a line end or a secret take a moment", () => {
  const stream = createRedactor(["hunter22-hunter22", "0123456789abcdef0123456789abcdef"]).stream();
  const chunk = "x1.".repeat(21_845);
  const begun = performance.now();
  let length = 0;
  for (let i = 0; i < 160; i++) length += stream.write(chunk).length;
  expect(length + stream.end().length).toBe(160 * chunk.length);
  // 10 MB in about 0.2 s; quadratic would be minutes.
  expect(performance.now() - begun).toBeLessThan(60_000);
});
