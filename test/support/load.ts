/** The load generator is shared with the benchmarks, which are plain JavaScript. */
export { type Load, startLoad } from "../../scripts/bench/lib/load.js";
