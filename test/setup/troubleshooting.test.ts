import { describe, expect, it } from "vitest";
import { faultsIn, sources, unseen } from "../../scripts/docs.js";
import { readPage } from "../support/pages.ts";

const files = sources() as [path: string, text: string][];
const headings = new Set(
  [...readPage("docs/troubleshooting.md").matchAll(/^## (\w+)$/gm)].map((match) => match[1]),
);

describe("docs/troubleshooting.md", () => {
  it("has every error code of the code (else run: node scripts/docs.js)", () => {
    const codes = new Set((faultsIn(files) as { code: string }[]).map(({ code }) => code));
    expect(codes.size).toBeGreaterThan(40);
    expect([...codes].filter((code) => !headings.has(code))).toEqual([]);
  });

  it("knows every code that is written where a fault is made, by a simpler reading too", () => {
    const literal = files.flatMap(([, text]) =>
      [...text.matchAll(/new Fault\(\s*"(\w+)"/g)].map((match) => match[1] ?? ""),
    );
    expect(literal.length).toBeGreaterThan(40);
    expect(literal.filter((code) => !unseen.has(code) && !headings.has(code))).toEqual([]);
  });

  it("knows every code that HTTP gives a status", () => {
    const [, text = ""] = files.find(([path]) => path === "http/problem.ts") ?? [];
    const statuses = [...text.matchAll(/^\s+(\w+): (?:4|5)\d\d,$/gm)].map((match) => match[1]);
    expect(statuses.length).toBeGreaterThan(10);
    expect(statuses.filter((code) => !headings.has(code))).toEqual([]);
  });

  it("would miss none: codes by helper, put together, or stored without being thrown", () => {
    const found = faultsIn([
      ["a.ts", 'new Fault(\n  "one_code",\n  `it $' + '{x ? "a, b" : f(")")} broke`,\n  "Mend it.",\n)'],
      ["b.ts", 'fault(wet ? "two_code" : "three_code", "It broke", "Mend it.")'],
      ["c.ts", "new Fault(`$" + '{options.what}_lost`, "It broke", "Mend it.")'],
      ["d.ts", 'return { code: "four_code", message: "It broke", hint: "Mend it." }'],
    ]);
    expect(found.map(({ code }: { code: string }) => code)).toEqual(
      "build_lost four_code hook_lost install_lost migrate_lost one_code three_code two_code".split(" "),
    );
    expect(found[5]).toMatchObject({ messages: ["it … broke"], hints: ["Mend it."] });
  });
});
