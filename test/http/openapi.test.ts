import { expect, it } from "vitest";
import { readPage } from "../support/pages.js";
import { shaOf } from "../support/payloads.js";
import { bench, operators } from "./bench.js";

it("is not there unless it is configured, and wants a token", async () => {
  expect((await (await bench()).inject("GET", "/openapi.json")).status).toBe(404);
  const { inject } = await bench({ more: { openapi: true } });
  expect((await inject("GET", "/openapi.json", { token: null })).status).toBe(401);
});

it("describes every call that the page of calls has, and none that is not there", async () => {
  const { inject, server } = await bench({ more: { openapi: true } });
  const { body } = await inject("GET", "/openapi.json", { token: operators.reader });
  expect(body).toMatchObject({ openapi: "3.1.0", servers: [{ url: "https://deploy.example.com" }] });
  const described = Object.entries(body.paths).flatMap(([path, calls]) =>
    Object.keys(calls as object).map(
      (method) => `${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ":$1")}`,
    ),
  );
  for (const call of described) {
    const [method = "", url = ""] = call.split(" ");
    expect([call, server.hasRoute({ method: method as "GET", url })]).toEqual([call, true]);
  }
  const rows = readPage("docs/http.md")
    .split("\n")
    .filter((line) => /^\| `(GET|POST|PUT|DELETE) /.test(line));
  const documented = rows
    .flatMap((row) => [...(row.split("|")[1] ?? "").matchAll(/`((?:GET|POST|PUT|DELETE) [^`? ]+)/g)])
    .map((match) => match[1] ?? "");
  const apart = ["GET /metrics", "GET /openapi.json", "GET /docs"];
  expect(described.sort()).toEqual(documented.filter((call) => !apart.includes(call)).sort());
});

it("has whole schemas: what it refers to is there, and a real answer has what is required", async () => {
  const { inject, begin, live } = await bench({ more: { openapi: true } });
  begin();
  const { id } = await live("api", shaOf(1));
  const { body, text } = await inject("GET", "/openapi.json");
  const { schemas } = body.components;
  for (const [, name] of text.matchAll(/"#\/components\/schemas\/(\w+)"/g))
    expect(Object.keys(schemas)).toContain(name);
  const deploy = (await inject("GET", `/deploys/${id}`)).body;
  const app = (await inject("GET", "/apps/api")).body;
  expect(Object.keys(deploy)).toEqual(expect.arrayContaining(schemas.Deploy.required));
  expect(Object.keys(schemas.Deploy.properties)).toEqual(expect.arrayContaining(Object.keys(deploy)));
  expect(Object.keys(app)).toEqual(expect.arrayContaining(schemas.App.required));
  expect(schemas.Deploy.properties.status.enum).toContain("rolled_back");
});
