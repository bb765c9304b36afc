import picomatch from "picomatch";

/** Is one of the files under `watch`? Globs as in `apps/api/**`; a folder's bare name stands for all in it. */
export function isWatched(watch: string[] | undefined, files: string[]): boolean {
  if (!watch) return true;
  const globs = watch.flatMap((glob) => [glob.replace(/\/$/, ""), `${glob.replace(/\/+$/, "")}/**`]);
  const matches = picomatch(globs, { dot: true });
  return files.some((file) => matches(file));
}
