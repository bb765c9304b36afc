import { expect, test } from "vitest";
import { crashedAtBoot, errorLine, neverListened } from "../../src/rollout/faults.js";

test("of a crash's output the line with the error is told", () => {
  const node = `/srv/api/server.js:3
throw new Error("the database is not configured");
^

Error: the database is not configured
    at Object.<anonymous> (/srv/api/server.js:3:7)
    at Module._compile (node:internal/modules/cjs/loader:1521:14)

Node.js v20.20.2
`;
  expect(errorLine(node)).toBe("Error: the database is not configured");
  expect(errorLine("\u001b[31mTypeError: x is not a function\u001b[0m\n    at y")).toBe(
    "TypeError: x is not a function",
  );
  expect(errorLine("starting\nfatal error, giving up\nbye")).toBe("fatal error, giving up");
  expect(errorLine("starting\nno config\n")).toBe("no config");
  expect(errorLine("")).toBe("");
  expect(errorLine(`Error: ${"x".repeat(5000)}`).length).toBeLessThanOrEqual(300);
});

test("a port that is in use is told as that, however it shows", () => {
  const output = "Error: listen EADDRINUSE: address already in use 0.0.0.0:3000\n";
  expect(crashedAtBoot("api", output)).toMatchObject({ code: "port_in_use" });
  expect(neverListened("api", 3000, 1000, output).message).toContain("0.0.0.0:3000");
  expect(
    neverListened("api", 3000, 1000, "listen EADDRINUSE: address already in use :::3000").message,
  ).toContain(":::3000");
  expect(neverListened("api", 3000, 1000, "hello").code).toBe("never_listened");
});

test("whatever an app has printed, its fault is told in a moment", () => {
  const start = performance.now();
  for (const output of [`EADDRINUSE ${"a".repeat(65_000)}`, "EADDRINUSE ".repeat(6_000)])
    expect(neverListened("api", 3000, 1000, output).code).toBe("never_listened");
  expect(performance.now() - start).toBeLessThan(5_000);
});
