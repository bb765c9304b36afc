/** Events as GitHub sends them, cut down to what surrounds the fields that matter. */
export const shaOf = (n: number): string => n.toString(16).padStart(4, "0").repeat(10);

const repository = (full_name: string) => ({
  id: 1,
  name: full_name.split("/")[1],
  full_name,
  private: true,
});
const headCommit = (sha: string) => ({
  id: sha,
  message: "Say hello\n\nTwice.",
  author: { name: "Ann Dev", email: "ann@example.com", username: "ann" },
});

export const push = (more: Record<string, unknown> = {}, fullName = "acme/api") => ({
  ref: "refs/heads/main",
  before: shaOf(1),
  after: shaOf(2),
  created: false,
  deleted: false,
  forced: false,
  head_commit: headCommit(shaOf(2)),
  repository: repository(fullName),
  pusher: { name: "ann" },
  ...more,
});

export const workflowRun = (run: Record<string, unknown> = {}, more: Record<string, unknown> = {}) => ({
  action: "completed",
  workflow_run: {
    id: 5,
    name: "CI",
    head_branch: "main",
    head_sha: shaOf(2),
    path: ".github/workflows/ci.yml",
    event: "push",
    status: "completed",
    conclusion: "success",
    head_commit: headCommit(shaOf(2)),
    head_repository: repository("acme/api"),
    ...run,
  },
  workflow: { path: ".github/workflows/ci.yml" },
  repository: repository("acme/api"),
  ...more,
});

export const release = (made: Record<string, unknown> = {}, action = "published") => ({
  action,
  release: {
    tag_name: "v1.2.3",
    target_commitish: "main",
    draft: false,
    prerelease: false,
    name: "The third",
    author: { login: "ann" },
    ...made,
  },
  repository: repository("acme/api"),
});

export const deployment = (made: Record<string, unknown> = {}) => ({
  action: "created",
  deployment: {
    sha: shaOf(2),
    ref: "main",
    task: "deploy",
    environment: "production",
    description: null,
    payload: {},
    creator: { login: "ann" },
    ...made,
  },
  repository: repository("acme/api"),
});

export const request = (more: Record<string, unknown> = {}) => ({
  repository: "acme/api",
  ref: "refs/heads/main",
  sha: shaOf(2),
  delivery: "123456-1",
  ...more,
});
