import type { z } from "zod";
import { configSchema } from "./schema.js";

type Issue = z.core.$ZodIssue;
type Block = Record<PropertyKey, unknown>;

const isBlock = (value: unknown): value is Block => typeof value === "object" && value !== null;

function drop(data: unknown, path: readonly PropertyKey[]): void {
  const owner = path.slice(0, -1).reduce<unknown>((at, key) => (isBlock(at) ? at[key] : undefined), data);
  const last = path.at(-1);
  if (isBlock(owner) && last !== undefined) delete owner[last];
}

const depth = (path: readonly PropertyKey[]): number => (path[0] === "apps" ? 3 : 1);

/**
 * What is left of a faulty configuration without its faulty keys, so that everything else can be checked in
 * the same run; undefined when nothing sensible is.
 */
export function salvage(data: unknown, issues: Issue[]): z.output<typeof configSchema> | undefined {
  const rest: unknown = structuredClone(data);
  for (const issue of issues)
    if (issue.code === "unrecognized_keys") for (const key of issue.keys) drop(rest, [...issue.path, key]);
    else drop(rest, issue.path.slice(0, depth(issue.path)));
  const again = configSchema.safeParse(rest);
  if (again.success) return again.data;
  // A required key was among the faulty ones: that app cannot be judged further.
  for (const issue of again.error.issues) drop(rest, issue.path.slice(0, 2));
  return configSchema.safeParse(rest).data;
}
