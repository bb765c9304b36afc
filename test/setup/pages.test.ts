import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { configSchema } from "../../src/config/schema.js";
import { codeBlocks, deadLinks, pages, readPage } from "../support/pages.ts";

interface Schema {
  properties?: Record<string, Schema>;
  additionalProperties?: Schema | boolean;
  anyOf?: Schema[];
}

/** Keys without keys of their own, as a page calls them: `server.port`, and below an app `health.path`. */
const keysOf = (schema: Schema, path = ""): string[] => {
  const parts = [schema, ...(schema.anyOf ?? [])];
  const below = parts.flatMap(({ properties = {} }) =>
    Object.entries(properties).flatMap(([key, value]) => keysOf(value, path ? `${path}.${key}` : key)),
  );
  const each = parts.flatMap(({ additionalProperties: app }) =>
    path === "apps" && typeof app === "object" ? keysOf(app) : [],
  );
  return below.length + each.length > 0 ? [...below, ...each] : [path];
};

const named = (title: string) => codeBlocks().filter((block) => block.title === title);

describe("the pages", () => {
  it("have no link that leads nowhere", () => {
    expect(pages()).toContain("README.md");
    expect(pages().flatMap((page) => deadLinks(page).map((link) => `${page}: ${link}`))).toEqual([]);
  });

  it("show only configurations that are right", () => {
    const blocks = named("dropless.yaml");
    expect(blocks.length).toBeGreaterThan(0);
    for (const { where, text } of blocks) {
      const { error } = configSchema.safeParse(parse(text));
      expect([where, error?.issues ?? []]).toEqual([where, []]);
    }
  });

  it("explain every key of the configuration", () => {
    const page = readPage("docs/configuration.md");
    const keys = keysOf(z.toJSONSchema(configSchema, { io: "input", unrepresentable: "any" }) as Schema);
    expect(keys.length).toBeGreaterThan(40);
    expect(keys.filter((key) => !page.includes(`\`${key}`))).toEqual([]);
  });

  it("show keys of an app that fit into a configuration", () => {
    for (const { where, text } of named("app")) {
      const app = { repository: "r", root: "/r", pm2: { script: "s.js" }, ...parse(text) };
      const { error } = configSchema.safeParse({ apps: { app } });
      expect([where, error?.issues ?? []]).toEqual([where, []]);
    }
  });
});
