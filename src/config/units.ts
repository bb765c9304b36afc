import { z } from "zod";

const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;

/** `500ms`, `10s`, `2m`, `1h` → milliseconds. */
export const duration = z
  .string()
  .regex(/^\d+(ms|s|m|h)$/, "write a duration such as 500ms, 10s or 2m")
  .transform((text) => {
    const [, count, unit] = /^(\d+)(ms|s|m|h)$/.exec(text) ?? [];
    return Number(count) * units[unit as keyof typeof units];
  });

const sizes = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 } as const;

/** `512M`, `2G` → bytes; a share of the machine's memory stays one. */
export const memory = z.union([
  z.literal(false),
  z
    .string()
    .regex(
      /^(?:([1-9]\d?|100)%|(?=.*[1-9])\d+(\.\d+)?[KMG])$/,
      "write a size such as 512M or 2G, a share such as 75%, or false",
    )
    .transform((text) =>
      text.endsWith("%") ? text : Number.parseFloat(text) * sizes[text.slice(-1) as keyof typeof sizes],
    ),
]);
