import { Fault } from "../domain/fault.js";
import type { Session } from "./session.js";

/** The app that was named, or the only one there is. */
export async function theApp(session: Session, name: string | undefined): Promise<string> {
  if (name) return name;
  // The daemon's list, when it is another host's.
  const names = session.io.env.DROPLESS_URL
    ? (await session.client().apps()).map((app) => app.name)
    : Object.keys(session.config().apps);
  const [only] = names;
  if (only !== undefined && names.length === 1) return only;
  throw new Fault(
    "usage",
    names.length === 0 ? "The configuration has no app" : "There are several apps, and none was named",
    names.length === 0 ? "Add one below `apps:`." : `Name one of: ${names.join(", ")}.`,
  );
}
