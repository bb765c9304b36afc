import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { configSchema } from "../../src/config/schema.js";
import { codeBlocks, deadLinks, pages } from "../support/pages.ts";

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

  it("show keys of an app that fit into a configuration", () => {
    for (const { where, text } of named("app")) {
      const app = { repository: "r", root: "/r", pm2: { script: "s.js" }, ...parse(text) };
      const { error } = configSchema.safeParse({ apps: { app } });
      expect([where, error?.issues ?? []]).toEqual([where, []]);
    }
  });
});
