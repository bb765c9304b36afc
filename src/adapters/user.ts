import { readFileSync } from "node:fs";
import { Fault } from "../domain/fault.js";

interface Account {
  uid: number;
  gid: number;
  home: string;
}

/** The numbers behind `uid`/`user` and `gid` of an ecosystem file, looked up where PM2 does. Fault `pm2_config`. */
export function accountOf(user: string, group?: string): Account {
  const lines = (file: string) =>
    readFileSync(file, "utf8")
      .split("\n")
      .map((line) => line.split(":"));
  const found = lines("/etc/passwd").find(([name, , uid]) => name === user || uid === user);
  const inGroup =
    group === undefined
      ? found?.[3]
      : lines("/etc/group").find(([name, , gid]) => name === group || gid === group)?.[2];
  if (!found || inGroup === undefined) {
    throw new Fault(
      "pm2_config",
      `the ecosystem file names the ${found ? "group" : "user"} ${found ? group : user}, whom this machine does not have`,
      "Create the account, or take `uid` and `gid` out of the ecosystem file.",
    );
  }
  return { uid: Number(found[2]), gid: Number(inGroup), home: found[5] ?? "/" };
}
