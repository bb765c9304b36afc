import { z } from "zod";
import type { GithubToken } from "./github-token.js";
import { type PostOptions, post } from "./post.js";

export interface GithubApiOptions {
  token: GithubToken;
  /** Without a slash at the end. */
  apiUrl: string;
}

export const githubHeaders = {
  accept: "application/vnd.github+json",
  "x-github-api-version": "2022-11-28",
} as const;

/** What a status of a deployment can be, as far as dropless says it. */
export type DeploymentState = "queued" | "in_progress" | "success" | "failure" | "error" | "inactive";

export interface NewDeployment {
  sha: string;
  environment: string;
  description: string;
  /** The deploy's id; by it the deployment is known as one that dropless created. */
  deploy: string;
}

const deployment = z.object({ id: z.number().int(), payload: z.unknown() });

/** GitHub gives a payload back as it was sent, or as its JSON. */
const isOf = (payload: unknown, deploy: string): boolean => {
  const text = typeof payload === "string" ? payload : JSON.stringify(payload ?? null);
  return text.includes('"dropless"') && text.includes(`"${deploy}"`);
};

/** The two calls of GitHub's REST API that deployments take, and the one that finds them again. */
export function createGithubApi({ token, apiUrl }: GithubApiOptions) {
  const call = async (
    method: "GET" | "POST",
    path: string,
    body: unknown,
    options: PostOptions,
  ): Promise<unknown> => {
    const ask = async () =>
      post(
        {
          method,
          url: `${apiUrl}/repos/${path}`,
          headers: { ...githubHeaders, authorization: `Bearer ${await token.read(options)}` },
          body: body === undefined ? undefined : JSON.stringify(body),
        },
        options,
      );
    const text = await ask().catch((error: Error & { status?: number }) => {
      // Revoked before its time: one that was made anew may do.
      if (error.status === 401 && token.drop()) return ask();
      throw error;
    });
    return JSON.parse(text);
  };

  return {
    /** The deployment of an earlier life of this daemon. */
    async find(repository: string, made: NewDeployment, options: PostOptions): Promise<number | undefined> {
      const query = new URLSearchParams({ sha: made.sha, environment: made.environment, per_page: "30" });
      const answer = await call("GET", `${repository}/deployments?${query}`, undefined, options);
      return z
        .array(deployment)
        .parse(answer)
        .find(({ payload }) => isOf(payload, made.deploy))?.id;
    },
    async create(repository: string, made: NewDeployment, options: PostOptions): Promise<number> {
      const { sha, environment, description, deploy } = made;
      const answer = await call(
        "POST",
        `${repository}/deployments`,
        {
          ref: sha,
          environment,
          description,
          payload: { dropless: deploy },
          // dropless has decided already: GitHub is to merge nothing and to wait for no check.
          auto_merge: false,
          required_contexts: [],
        },
        options,
      );
      return deployment.parse(answer).id;
    },
    async status(
      repository: string,
      id: number,
      status: { state: DeploymentState; description: string; log_url?: string },
      options: PostOptions,
    ): Promise<void> {
      await call("POST", `${repository}/deployments/${id}/statuses`, status, options);
    },
  };
}

export type GithubApi = ReturnType<typeof createGithubApi>;
