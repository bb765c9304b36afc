import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { clean, cut, parse, plain } from "../../src/dashboard/page/ansi.js";

const E = "\u001b";
const looks = (line: string) => parse(clean(line)).map(({ text, ...look }) => [text, clear(look)]);
const clear = (look: object) => JSON.parse(JSON.stringify(look));

describe("the colours of a log", () => {
  it("are runs of text, each with its look", () => {
    expect(looks("plain")).toEqual([["plain", {}]]);
    expect(looks("")).toEqual([]);
    expect(looks(`a ${E}[1;31mred${E}[0m b`)).toEqual([
      ["a ", {}],
      ["red", { bold: true, color: 1 }],
      [" b", {}],
    ]);
    expect(looks(`${E}[92mbright${E}[39m${E}[100mback${E}[49m none`)).toEqual([
      ["bright", { color: 10 }],
      ["back", { background: 8 }],
      [" none", {}],
    ]);
    expect(looks(`${E}[3;4;9;2mx${E}[22;23;24;29my`)).toEqual([
      ["x", { italic: true, underline: true, strike: true, dim: true }],
      ["y", {}],
    ]);
    expect(looks(`${E}[7mx${E}[27my${E}[mz`)).toEqual([
      ["x", { inverse: true }],
      ["y", {}],
      ["z", {}],
    ]);
  });

  it("know 256 and true colours, and nothing beyond them", () => {
    expect(looks(`${E}[38;5;9mx`)).toEqual([["x", { color: 9 }]]);
    expect(looks(`${E}[38;5;208mx`)).toEqual([["x", { color: "rgb(255, 135, 0)" }]]);
    expect(looks(`${E}[48;5;244mx`)).toEqual([["x", { background: "rgb(128, 128, 128)" }]]);
    expect(looks(`${E}[38;2;1;2;3;1mx`)).toEqual([["x", { color: "rgb(1, 2, 3)", bold: true }]]);
    expect(looks(`${E}[38;5;300;48;2;1;2;999mx`)).toEqual([["x", {}]]);
  });

  it("leave no other escape sequence and no control character behind", () => {
    expect(clean(`a${E}[2Kb${E}[1;1Hc${E}]0;title\u0007d${E}]8;;javascript:x${E}\\e${E}(Bf${E}`)).toBe(
      "abcdef",
    );
    expect(clean("bell\u0007 back\b null\u0000 del\u007f c1\u009b")).toBe("bell back null del c1");
    expect(clean("a\tb")).toBe("a    b");
  });

  it("show what a carriage return left over", () => {
    expect(clean("10 %\r50 %\r100 %\r")).toBe("100 %");
    expect(clean("windows\r")).toBe("windows");
  });

  it("cut an endless line", () => {
    const line = clean("x".repeat(1_000_000));
    expect(line.length).toBeLessThan(21_000);
    expect(line).toContain("980000 more characters");
  });

  it("survive whatever comes, and lose no printable text", () => {
    const piece = fc.oneof(
      fc.constantFrom(
        `${E}[31m`,
        `${E}[0m`,
        `${E}[38;5;`,
        `${E}[`,
        E,
        ";",
        "m",
        "7",
        "\r",
        `${E}]8;;`,
        "\u0007",
        "\u009b",
      ),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        const line = clean(pieces.join(""));
        const runs = parse(line);
        const text = runs.map((run) => run.text).join("");
        expect(text).toBe(plain(line));
        expect(text).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("a part of a line", () => {
  const runs = parse(`ab${E}[31mcd${E}[0mef`);
  const texts = (parts: ReturnType<typeof cut>) => parts.map(({ text, mark }) => (mark ? `[${text}]` : text));

  it("keeps its looks", () => {
    expect(cut(runs, 1, 5).map(({ text, color }) => [text, color])).toEqual([
      ["b", undefined],
      ["cd", 1],
      ["e", undefined],
    ]);
    expect(cut(runs, 4, 6).map(({ text }) => text)).toEqual(["ef"]);
    expect(cut(runs, 6, 6)).toEqual([]);
  });

  it("shows what was found, also across colours and over the part's edge", () => {
    expect(texts(cut(runs, 0, 6, [[1, 3]]))).toEqual(["a", "[b]", "[c]", "d", "ef"]);
    expect(texts(cut(runs, 2, 4, [[1, 3]]))).toEqual(["[c]", "d"]);
    expect(
      texts(
        cut(runs, 0, 6, [
          [0, 1],
          [4, 6],
        ]),
      ),
    ).toEqual(["[a]", "b", "cd", "[ef]"]);
  });

  it("put together gives the line", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme-ascii" }), fc.integer({ min: 1, max: 20 }), (text, columns) => {
        const line = parse(clean(text));
        const parts: string[] = [];
        for (let at = 0; at < text.length; at += columns)
          parts.push(
            ...cut(line, at, Math.min(text.length, at + columns), [[2, 5]]).map((part) => part.text),
          );
        expect(parts.join("")).toBe(text);
      }),
    );
  });
});
