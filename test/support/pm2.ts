/** A PM2 of one's own is shared with the benchmarks, which are plain JavaScript. */
export { createPrivatePm2, type PrivatePm2 } from "../../scripts/bench/lib/pm2.js";
