import { createRequire } from "node:module";

/** What is used of SQLite; node:sqlite and @photostructure/sqlite have the same API. */
export interface Database {
  exec(sql: string): void;
  prepare(sql: string): Statement;
  close(): void;
}
export interface Statement {
  run(...values: SqlValue[]): unknown;
  get(...values: SqlValue[]): Row | undefined;
  all(...values: SqlValue[]): Row[];
}
type SqlValue = string | number | Uint8Array | null;
export type Row = Record<string, string | number | null>;

interface Sqlite {
  DatabaseSync: new (path: string) => Database;
}

/**
 * Node's own SQLite where it has one (22.13 and later), else the package that is built like it. Node's
 * warns on stderr that it is experimental; that is for us to know, not for whoever types a command.
 */
function driver(): Sqlite {
  const emitWarning = process.emitWarning;
  process.emitWarning = () => {};
  try {
    const own = process.getBuiltinModule?.("node:sqlite") as Sqlite | undefined;
    return own ?? (createRequire(import.meta.url)("@photostructure/sqlite") as Sqlite);
  } finally {
    process.emitWarning = emitWarning;
  }
}

export const openDatabase = (path: string): Database => new (driver().DatabaseSync)(path);

/** SQLite's primary result code of whatever was thrown, if SQLite threw it. */
export const sqliteCode = (thrown: unknown): number | undefined => {
  const code = (thrown as { errcode?: unknown } | undefined)?.errcode;
  return typeof code === "number" ? code & 0xff : undefined;
};
export const BUSY = 5;
export const FULL = 13;
export const CONSTRAINT = 19;
const NOTADB = 26;
const CORRUPT = 11;
export const isDamage = (thrown: unknown): boolean =>
  sqliteCode(thrown) === NOTADB || sqliteCode(thrown) === CORRUPT;
