import type { Delivery } from "../../domain/request.js";
import type { Row } from "./driver.js";
import type { prepareAll } from "./statements.js";

type Statements = Pick<
  ReturnType<typeof prepareAll>,
  "remembered" | "rememberId" | "rememberBody" | "repeated" | "repeatsOfRepeated"
>;

/** By what a delivery is known again (migrations.ts). Whoever calls has written the deploys that are meant. */
export const createDeliveries = (sql: Statements) => ({
  /** The deploy that it has made, or the one that repeats that. */
  find: (app: string, { id, bodySha256 }: Delivery): Row | undefined =>
    sql.remembered.get(app, bodySha256, bodySha256, app, id),
  add(app: string, { id, bodySha256 }: Delivery, seq: number): void {
    sql.rememberId.run(app, id, seq);
    sql.rememberBody.run(app, bodySha256, bodySha256, seq);
  },
  /** Whatever has led to the earlier deploy leads to this one. */
  repeat(seq: number, earlier: string): void {
    sql.repeatsOfRepeated.run(seq, earlier);
    sql.repeated.run(seq, earlier);
  },
});
