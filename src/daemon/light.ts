import module from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** After the start: what its last promises hold is garbage by then. */
const tidyAfterMs = 2_000;

/** Node 22 has it, the types of Node 20 do not. */
type WithCache = { enableCompileCache?: (folder: string) => unknown };

/**
 * Once, what the start left: V8 would do so by itself in parts, on Node 24 with a timer that wakes the daemon every
 * eight seconds for minutes.
 */
function tidy(): void {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  setFlagsFromString("--no-expose-gc");
  collect();
}

/**
 * For a start that is quick and leaves a small process behind. To be called before the daemon's libraries are loaded;
 * gives what is to be called when it is ready.
 *
 * Loading them makes garbage, for which V8 would enlarge its space for new objects to sixteen times what the daemon
 * needs at rest, for good; afterwards load may. And it would compile once more, optimised, what runs only then: that
 * leaves up to 14 MB and takes time from the start. What Node compiles it keeps in the user's own cache: never in a
 * folder that others can write to, since it is code.
 */
export function startLightly(env: NodeJS.ProcessEnv = process.env): () => void {
  setFlagsFromString("--semi-space-growth-factor=1");
  // Not `--no-opt`: Node 24 does not come back from it.
  setFlagsFromString("--max-optimized-bytecode-size=0");
  const cache = env.XDG_CACHE_HOME || join(homedir(), ".cache");
  (module as WithCache).enableCompileCache?.(join(cache, "dropless"));
  return () => {
    setFlagsFromString("--semi-space-growth-factor=2");
    setFlagsFromString(`--max-optimized-bytecode-size=${60 * 1024}`);
    setTimeout(tidy, tidyAfterMs).unref();
  };
}
