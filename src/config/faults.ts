import type { z } from "zod";

/** One thing that is wrong with a configuration. */
export interface ConfigFault {
  /** `apps.api.branch`; empty for the file as a whole. */
  path: string;
  message: string;
  hint: string;
  /** Where it is in the file, from 1. */
  line?: number;
}

type Keys = readonly PropertyKey[];
type Issue = z.core.$ZodIssue;

/** The parts of zod's inner definitions that the walk below needs. */
interface Inner {
  def: {
    type: string;
    shape?: Record<string, Inner>;
    innerType?: Inner;
    valueType?: Inner;
    element?: Inner;
    options?: Inner[];
    in?: Inner;
  };
}

const objectKeys = (schema: Inner | undefined, path: Keys): string[] => {
  if (!schema) return [];
  const { def } = schema;
  if (def.innerType) return objectKeys(def.innerType, path);
  if (def.in) return objectKeys(def.in, path);
  if (def.options) return def.options.flatMap((option) => objectKeys(option, path));
  const [key, ...rest] = path;
  if (key === undefined) return Object.keys(def.shape ?? {});
  if (def.shape) return Object.hasOwn(def.shape, key) ? objectKeys(def.shape[String(key)], rest) : [];
  return objectKeys(def.valueType ?? def.element, rest);
};

/** Edits (insert, delete, replace) between two words, case aside. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** The known word somebody most likely meant; none when nothing is near. */
function didYouMean(word: string, known: string[]): string | undefined {
  const near = known
    .map((candidate) => ({ candidate, edits: distance(word.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.edits - b.edits)[0];
  return near && near.edits <= Math.max(1, Math.floor(word.length / 3)) ? near.candidate : undefined;
}

const name = (path: Keys): string => path.map(String).join(".");

const at = (data: unknown, path: Keys): unknown =>
  path.reduce<unknown>(
    (value, key) =>
      typeof value === "object" && value !== null && Object.hasOwn(value, key)
        ? (value as Record<PropertyKey, unknown>)[key]
        : undefined,
    data,
  );

const describe = (value: unknown): string =>
  value === null
    ? "nothing"
    : Array.isArray(value)
      ? "a list"
      : typeof value === "object"
        ? "a block of keys"
        : `a ${typeof value}`;

const wanted: Record<string, string> = {
  string: "a text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "a block of keys",
  record: "a block of keys",
};

/** Of several ways to write a value, the faults of the one that was most likely meant. */
function nearest(issue: Issue & { code: "invalid_union" }, value: unknown): Issue[] {
  const alternatives = issue.errors.filter((issues) => issues.some((inner) => inner.path.length > 0));
  const isEcosystem = typeof value === "object" && value !== null && "config" in value;
  return (isEcosystem ? alternatives[0] : alternatives.at(-1)) ?? [];
}

/** Too little, too much, or something else; in our words where the schema has none of its own. */
function outside(issue: Issue): Pick<ConfigFault, "message" | "hint"> {
  const own = /^(Too (small|big)|Invalid string): /.exec(issue.message) === null;
  if (!own && issue.code === "too_small")
    return issue.origin === "number"
      ? { message: "is too small", hint: `It is at least ${issue.minimum}.` }
      : { message: "is empty", hint: `Give ${issue.origin === "string" ? "a text" : "at least one"}.` };
  if (!own && issue.code === "too_big")
    return { message: "is too large", hint: `It is at most ${issue.maximum}.` };
  const hint = issue.message.replace(/^Invalid string: (.)/, (_, first: string) => `It ${first}`);
  return { message: "is not as it should be", hint: `${hint}.` };
}

function translate(issue: Issue, path: Keys, data: unknown, schema: Inner): ConfigFault[] {
  const value = at(data, path);
  if (issue.code === "unrecognized_keys") {
    const known = objectKeys(schema, path);
    return issue.keys.map((key) => {
      const meant = didYouMean(key, known);
      return {
        path: name([...path, key]),
        message: `unknown key "${key}"`,
        hint: meant ? `Did you mean \`${meant}\`?` : `Known here: ${known.join(", ")}.`,
      };
    });
  }
  if (issue.code === "invalid_union") {
    const inner = nearest(issue, value);
    if (inner.length > 0) return inner.flatMap((one) => translate(one, [...path, ...one.path], data, schema));
    const told = issue.errors.flat().map((one) => one.message);
    return [
      {
        path: name(path),
        message: value === undefined ? "is missing" : `cannot be ${describe(value)}`,
        hint: `Write ${[...new Set(told)].map((text) => text.replace(/^Invalid input: /, "")).join(", or ")}.`,
      },
    ];
  }
  if (issue.code === "invalid_key")
    return [
      { path: name(path), message: "this name cannot be used", hint: `${issue.issues[0]?.message ?? ""}.` },
    ];
  if (issue.code === "invalid_type" && value === undefined)
    return [
      { path: name(path), message: "is missing", hint: `Give ${wanted[issue.expected] ?? issue.expected}.` },
    ];
  if (issue.code === "invalid_type") {
    const quote = issue.expected === "string" && ["number", "boolean"].includes(typeof value);
    return [
      {
        path: name(path),
        message: `must be ${wanted[issue.expected] ?? issue.expected}, not ${describe(value)}`,
        hint: quote ? "Put it in quotes." : "Compare it with the README's example.",
      },
    ];
  }
  if (issue.code === "invalid_value") {
    const meant = typeof value === "string" ? didYouMean(value, issue.values.map(String)) : undefined;
    return [
      {
        path: name(path),
        message: `cannot be ${JSON.stringify(value)}`,
        hint: `${meant ? `Did you mean \`${meant}\`? ` : ""}It is one of ${issue.values.map(String).join(", ")}.`,
      },
    ];
  }
  return [{ path: name(path), ...outside(issue) }];
}

/** Every issue of a failed parse as people read it. Values are not quoted, but for words of a fixed list. */
export const configFaults = (issues: Issue[], data: unknown, schema: z.ZodType): ConfigFault[] =>
  issues.flatMap((issue) => translate(issue, issue.path, data, schema as unknown as Inner));
