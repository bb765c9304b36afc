import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

const prefix = ".trash-";

/** The new name of what is on its way out, in the same folder: half of it is never taken for the whole. */
export const trashOf = (folder: string, name: string): string => join(folder, prefix + name);

/** What in this folder is on its way out. */
export const trashIn = (folder: string): string[] =>
  existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => name.startsWith(prefix))
        .map((name) => join(folder, name))
    : [];
