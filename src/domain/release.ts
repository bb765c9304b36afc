/** One built, immutable directory below `<root>/releases/`. */
export interface Release {
  /** `20261121T200553-ab12cd3`. */
  name: string;
  /** Absolute, never through `current`. */
  path: string;
}

/** Name for a release built now (UTC) from a commit. */
export const releaseName = (sha: string, at: Date): string =>
  `${at.toISOString().slice(0, 19).replace(/[-:]/g, "")}-${sha.slice(0, 7)}`;

export const isReleaseName = (name: string): boolean => /^\d{8}T\d{6}-[0-9a-f]{7}(?:-\d+)?$/.test(name);
