import type { Deploy, Queued, Running } from "../../domain/deploy.js";
import type { Row } from "./driver.js";

/** `standsFor` is no part of the stored body: a burst would make it thousands long, in each of thousands. */
export const toBody = ({ standsFor: _, ...facts }: Deploy): string => JSON.stringify(facts);

/** A row as a deploy; it stands for its own commit, the store adds to that where it matters. */
export function toDeploy(row: Row): Deploy {
  const facts = JSON.parse(String(row.body)) as Omit<Deploy, "standsFor">;
  return { ...facts, standsFor: facts.commit.sha === "" ? [] : [facts.commit.sha] } as Deploy;
}

export const isQueued = (deploy: Deploy): deploy is Queued => deploy.status === "queued";
export const isRunning = (deploy: Deploy): deploy is Running => deploy.status === "running";
