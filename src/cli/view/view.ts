import type { DeployEvent, DeployView } from "../../http/wire.js";
import type { Terminal } from "../terminal.js";
import { createLiveView } from "./live.js";
import { createPlainView } from "./plain.js";

/** Shows a deploy while it goes on. */
export interface View {
  /** A deploy is followed from here on: the first, and each that supersedes it. */
  begin(deploy: DeployView): void;
  event(event: DeployEvent): void;
  /** More is known of the deploy that is followed: the commit, once it is fetched. */
  update(deploy: DeployView): void;
  /** The daemon does not answer; `back` follows when it does again. */
  lost(): void;
  back(): void;
  /** A remark between the lines. */
  note(text: string): void;
  /** The outcome, whatever it is. */
  end(deploy: DeployView): void;
  /** Nothing more is shown; leaves the terminal as it was. */
  close(): void;
}

/** With `--json` only the deploy at the end is printed, so there is nothing to see before it. */
export const createSilentView = (): View => ({
  begin() {},
  event() {},
  update() {},
  lost() {},
  back() {},
  note() {},
  end() {},
  close() {},
});

export const createView = (terminal: Terminal): View =>
  terminal.live ? createLiveView(terminal) : createPlainView(terminal);
