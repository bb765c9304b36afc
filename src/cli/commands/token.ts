import { createHash, randomBytes } from "node:crypto";
import { Option } from "commander";
import { type Scope, scopes } from "../../config/schema.js";
import type { Shell } from "../command.js";

export function addToken({ program, action }: Shell): void {
  const token = program.command("token").summary("operators' tokens");
  token
    .command("create")
    .summary("make a token, and print the entry for the configuration")
    .argument("<name>", "whose it is")
    .addOption(new Option("--scope <scope>", "what it may do").choices(scopes).default("deploy"))
    .action(
      action((session, name: string, options: { scope: Scope }) => {
        const { terminal: t } = session;
        const secret = `dl_${randomBytes(24).toString("base64url")}`;
        const sha256 = createHash("sha256").update(secret).digest("hex");
        if (session.json) t.json({ name, scope: options.scope, token: secret, sha256 });
        else {
          t.line(`${t.bold("The token")}, shown this once; only its hash is kept:`);
          t.line(`  ${secret}`);
          t.line(`${t.bold("The entry")} for dropless.yaml, then restart the daemon:`);
          t.line("  tokens:");
          // JSON is YAML: a name with a quote or a colon stays one string.
          t.line(`    - { name: ${JSON.stringify(name)}, scope: ${options.scope}, sha256: ${sha256} }`);
          t.line(
            t.dim(
              "It goes into an Authorization: Bearer header, or into DROPLESS_TOKEN beside DROPLESS_URL.",
            ),
          );
        }
        return 0;
      }),
    );
}
