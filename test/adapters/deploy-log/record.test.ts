import fc from "fast-check";
import { expect, test } from "vitest";
import { toRecords } from "../../../src/adapters/deploy-log/record.js";

test("lines that are made into records together are those that each makes by itself, numbered on", () => {
  const time = "2026-11-21T20:05:53.123Z";
  const line = fc.oneof(
    fc.string({ unit: "grapheme" }).filter((text) => !/[\n\u007f]/.test(text)),
    fc.constantFrom(
      "",
      '"',
      "\\",
      "\\n",
      '","',
      '\\",',
      "\t",
      "\u001b[1mok\u001b[0m",
      "\ud800",
      "\udc00",
      "\u2028",
    ),
  );
  fc.assert(
    fc.property(fc.array(line, { minLength: 1 }), fc.constantFrom("build" as const, null), (lines, step) => {
      const place = { id: 12, line: 9 };
      const records = toRecords(place, { event: "log", step, stream: "stderr", lines, time });
      const alone = lines.map((text, n) =>
        JSON.stringify({ id: 13 + n, line: 10 + n, event: "log", step, stream: "stderr", text, time }),
      );
      expect(records).toBe(`${alone.join("\n")}\n`);
      expect(place).toEqual({ id: 12 + lines.length, line: 9 + lines.length });
    }),
    { numRuns: 1000 },
  );
});
