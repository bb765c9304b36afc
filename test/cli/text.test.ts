import { describe, expect, it } from "vitest";
import { cut, oneLine, safeLine, withoutColour } from "../../src/cli/text.js";

describe("a line from a log", () => {
  it("keeps colours and ends them", () => {
    expect(safeLine("\x1b[31mred\x1b[0m and \x1b[38;5;12mblue")).toBe(
      "\x1b[31mred\x1b[0m and \x1b[38;5;12mblue\x1b[0m",
    );
  });

  it("loses everything that moves, clears, renames or hides", () => {
    expect(safeLine("a\x1b[2Jb\x1b[10;10Hc\x1b]0;title\x07d\x1b]8;;http://x\x1b\\e\x1bPq\x1b\\f\x1bcg")).toBe(
      "abcdefg",
    );
    expect(safeLine("a\x9b2Jb\x07c\x08d\x00e\x7f")).toBe("a2Jbcde");
    expect(safeLine("abc\u202edef")).toBe("abcdef");
  });

  it("cannot be made to leave a sequence by nesting two", () => {
    expect(safeLine("\x1b\x1b[2J[2Jx")).not.toContain("\x1b");
    expect(withoutColour(safeLine("\x1b\x1b[31m]0;title\x07x"))).not.toContain("\x1b");
  });

  it("shows a progress bar as it stood last", () => {
    expect(safeLine("10%\r50%\r100%\r")).toBe("100%");
  });
});

describe("oneLine", () => {
  it("takes the first line of a commit message, cut, without colours", () => {
    expect(oneLine("Fix \x1b[31mit\n\nbecause")).toBe("Fix it");
    expect(oneLine("x".repeat(100), 10)).toBe(`${"x".repeat(9)}…`);
  });
});

describe("cut", () => {
  it("counts no colours", () => {
    expect(cut("\x1b[31mabc\x1b[39m", 3)).toBe("\x1b[31mabc\x1b[39m");
    expect(withoutColour(cut("\x1b[31mabcdef\x1b[39mghi", 5))).toBe("abcd…");
  });
});
