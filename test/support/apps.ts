/** The apps are shared with the benchmarks, which are plain JavaScript. */
export {
  appFiles,
  type BadKind,
  badKinds,
  type GoodKind,
  goodKinds,
  linkModules,
  writeApp,
} from "../../scripts/bench/lib/apps.js";
