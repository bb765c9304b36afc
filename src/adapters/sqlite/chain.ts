import type { Row } from "./driver.js";
import type { prepareAll } from "./statements.js";

type Statements = Pick<ReturnType<typeof prepareAll>, "get" | "standsFor" | "lastOfPlace">;

/** Who superseded whom, of what is in the tables. */
export function createChain(sql: Statements) {
  /**
   * Who superseded a deploy, in runs: in one place each supersedes the one before it; the last of a place may
   * have been superseded by one in another. So a chain of thousands is a step or two.
   */
  function* runsOfHeirs(id: string): Generator<{ place: number; from: number; last: Row }> {
    for (let row = sql.get.get(id); row; ) {
      const last = sql.lastOfPlace.get(row.place ?? 0);
      if (!last) return;
      yield { place: Number(row.place), from: Number(row.seq), last };
      const next = last.superseded_by;
      row = typeof next === "string" ? sql.get.get(next) : undefined;
    }
  }

  return {
    standsFor(id: string): string[] {
      const row = sql.get.get(id);
      if (!row) return [];
      return [...new Set(sql.standsFor.all(row.place ?? 0, row.seq ?? 0).map(({ sha }) => String(sha)))];
    },
    isHeir(owner: string, id: string): boolean {
      const row = sql.get.get(id);
      for (const { place, from } of runsOfHeirs(owner))
        if (row?.place === place && Number(row.seq) >= from) return true;
      return false;
    },
    lastHeir: (id: string): Row | undefined => [...runsOfHeirs(id)].at(-1)?.last,
  };
}
