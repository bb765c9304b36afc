import type { Deploy, Queued, Running } from "../../domain/deploy.js";
import type { Row } from "./driver.js";

/** `standsFor` is no part of the stored body: a burst would make it thousands long, in each of thousands. */
export const toBody = ({ standsFor: _, ...facts }: Deploy): string => JSON.stringify(facts);

/** A row as a deploy. Only one that has started and was not superseded stands for more than its own commit. */
export function toDeploy(row: Row, standsFor: (place: number, seq: number) => string[]): Deploy {
  const facts = JSON.parse(String(row.body)) as Omit<Deploy, "standsFor">;
  const alone = facts.status === "queued" || facts.status === "superseded";
  const own = facts.commit.sha === "" ? [] : [facts.commit.sha];
  return {
    ...facts,
    standsFor: alone ? own : standsFor(Number(row.place), Number(row.seq)),
  } as Deploy;
}

export const isQueued = (deploy: Deploy): deploy is Queued => deploy.status === "queued";
export const isRunning = (deploy: Deploy): deploy is Running => deploy.status === "running";
