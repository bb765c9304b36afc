import fc from "fast-check";
import { expect, test } from "vitest";
import { clean, createFramer, longestLine } from "../../../src/adapters/deploy-log/frame.js";
import { createRedactor } from "../../../src/domain/redact.js";

function framed(chunks: (string | Uint8Array)[], step = 0, secrets: string[] = []): string[] {
  const lines: string[] = [];
  let time = 0;
  const framer = createFramer(
    createRedactor(secrets),
    () => {
      time += step;
      return time;
    },
    (more) => lines.push(...more),
  );
  for (const chunk of chunks) framer.write(chunk);
  framer.flush();
  return lines;
}

test("lines are the same however the bytes are cut", () => {
  const line = fc.stringMatching(/^[^\r\n\u0000-\u001f\u007f-\u009f\ud800-\udfff\ufeff]{0,30}$/);
  fc.assert(
    fc.property(fc.array(line), fc.array(fc.nat(600)), fc.constantFrom("\n", "\r\n"), (lines, cuts, end) => {
      const bytes = Buffer.from(lines.map((text) => text + end).join(""));
      const chunks: Buffer[] = [];
      let from = 0;
      for (const to of [...cuts, bytes.length].sort((a, b) => a - b)) {
        chunks.push(bytes.subarray(from, Math.max(from, to)));
        from = Math.max(from, to);
      }
      expect(framed(chunks)).toEqual(lines);
    }),
    { numRuns: 1000 },
  );
});

test("whatever the bytes are, lines are whole text, without control, and not too long", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 })), (chunks) => {
      for (const line of framed(chunks)) {
        expect(Buffer.from(line).toString()).toBe(line);
        expect(line.length).toBeLessThanOrEqual(longestLine);
        expect(line.replace(/\u001b\[[\d;:]*m/g, "")).not.toMatch(
          /[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/,
        );
      }
    }),
    { numRuns: 1000 },
  );
});

test("one line of 20 MB becomes pieces, and none of it is held", () => {
  const chunk = Buffer.alloc(65_536, "x");
  const lines = framed(Array.from({ length: 320 }, () => chunk));
  expect(lines.join("").length).toBe(320 * 65_536);
  expect(Math.max(...lines.map((line) => line.length))).toBe(longestLine);
});

test("lines that come together are those that come one by one", () => {
  const line = fc.oneof(
    fc.constantFrom(
      "",
      "plain",
      "\u001b[32mok\u001b[0m",
      "a\rb",
      "c\r",
      "bell\u0007",
      "\u007f",
      "s3cr\u00073t",
    ),
    fc.integer({ min: longestLine - 1, max: 2 * longestLine + 1 }).map((length) => "x".repeat(length)),
  );
  fc.assert(
    fc.property(fc.array(line, { maxLength: 12 }), (lines) => {
      const printed = lines.map((text) => `${text}\n`);
      expect(framed([printed.join("")], 0, ["s3cr3t"])).toEqual(framed(printed, 0, ["s3cr3t"]));
    }),
    { numRuns: 300 },
  );
  const longest = `${"y".repeat(longestLine)}\n`;
  expect(framed([`a\n${longest}b\n${longest}${longest}c\n`])).toHaveLength(6);
  expect(framed([`a\n${longest}z${longest}b\n`])).toHaveLength(5);
});

test("a character is never cut in two", () => {
  const lines = framed([`a${"😀".repeat(longestLine)}\n`]);
  for (const line of lines) expect(Buffer.from(line).toString()).toBe(line);
  expect(lines.join("")).toBe(`a${"😀".repeat(longestLine)}`);
});

test("colours stay, everything else that steers a terminal goes", () => {
  expect(clean("\u001b[1;32mok\u001b[0m \u001b[2K\u001b[1Gdone")).toBe("\u001b[1;32mok\u001b[0m done");
  expect(clean("\u001b]0;title\u0007x\u001b]8;;http://a\u001b\\link\u001b]8;;\u001b\\")).toBe("xlink");
  expect(clean("\u001b7\u001b(Ba\u001bPq\u001b\\b\u0008c\td\u0000e\u009b2J")).toBe("abc\td\ufffde\ufffd2J");
  expect(clean("cut \u001b[")).toBe("cut \ufffd[");
});

test("a progress bar is its last state, and now and then what it is at", () => {
  const bar = Array.from({ length: 100 }, (_, n) => `\r${n}%`);
  expect(framed([...bar, "\ndone\n"])).toEqual(["99%", "done"]);
  expect(framed([...bar, "\n"], 100).length).toBeGreaterThan(8);
  expect(framed(["a\rb\rc"])).toEqual(["c"]);
  expect(framed(["a\r", "\nb\r\r\n"])).toEqual(["a", "b"]);
});

test("endless carriage returns take neither memory nor time", () => {
  expect(framed(Array.from({ length: 200 }, () => "\r".repeat(65_536))).join("")).toBe("");
  expect(framed([`${"\r".repeat(60_000)}x\n`]).at(-1)).toBe("x");
});

test("a secret is out also where control characters or colours lie in its midst", () => {
  for (const between of [
    "\u0007",
    "\u001b[K",
    "\u001b]0;title\u0007",
    "\u001b[31m",
    "\u001b[1m\u001b[32m",
    "\b",
  ]) {
    const [line] = framed([`a hunter22${between}hunter22 b\n`], 0, ["hunter22hunter22"]);
    expect(line, JSON.stringify(between)).toBe("a *** b");
  }
  expect(framed(["\u001b[31mred\u001b[39m\n"], 0, ["hunter22hunter22"])).toEqual(["\u001b[31mred\u001b[39m"]);
});
