import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { postSigned, Surroundings, type Answer as Posted } from "./signed-post.ts";

/** As AWS's own client. All of them, none of which is answered, end well before API Gateway gives up (29 s). */
const TRIES = 3;
const ANSWER_WITHIN_MS = 5_000;

const Answer = z.object({ SecretString: z.string().optional(), __type: z.string().optional() });

/**
 * Reads a secret's text from AWS Secrets Manager. Throws what AWS calls the error, and nothing else of the answer.
 *
 * It is one signed POST, and the first thing that every cold start does: AWS's client for it was half of what a
 * Lambda took to load, so only AWS's signer is used (ADR 0016).
 */
export async function readSecret(
  arn: string,
  how: {
    env?: Readonly<Record<string, string | undefined>>;
    /** Between tries, in milliseconds. */
    pause?: (milliseconds: number) => Promise<unknown>;
    answerWithinMs?: number;
  } = {},
): Promise<string> {
  const surroundings = Surroundings.parse(how.env ?? process.env);
  for (let tried = 1; ; tried++) {
    // Signed anew each time: a signature is of its second.
    const posted = await ask(arn, surroundings, how.answerWithinMs ?? ANSWER_WITHIN_MS);
    const { status } = posted;
    const answer = answerIn(posted);
    if (status === 200 && answer?.SecretString !== undefined) return answer.SecretString;
    const why = status === 200 ? "has no text" : (answer?.__type ?? `status ${status}`);
    if (tried === TRIES || !passesByItself(status, why)) throw new Error(`secret ${arn}: ${why}`);
    await (how.pause ?? sleep)(Math.random() * 100 * 2 ** tried);
  }
}

/** No answer has the status 0. */
const passesByItself = (status: number, why: string) =>
  status === 0 || status === 429 || status >= 500 || why.endsWith("ThrottlingException");

const ask = (arn: string, of: Surroundings, withinMs: number): Promise<Posted> =>
  postSigned(
    {
      service: "secretsmanager",
      // Of AWS's partitions, `aws`: as the ARNs of `sts.ts`.
      endpoint:
        of.AWS_ENDPOINT_URL_SECRETS_MANAGER ??
        of.AWS_ENDPOINT_URL ??
        `https://secretsmanager.${of.AWS_REGION}.amazonaws.com`,
      path: "/",
      headers: {
        "content-type": "application/x-amz-json-1.1",
        "x-amz-target": "secretsmanager.GetSecretValue",
      },
      body: JSON.stringify({ SecretId: arn }),
    },
    of,
    withinMs,
  );

/** The answer, undefined where it is not one of Secrets Manager's; without one, why none came. */
function answerIn({ status, said }: Posted): z.infer<typeof Answer> | undefined {
  if (status === 0) return { __type: said };
  try {
    return Answer.safeParse(JSON.parse(said)).data;
  } catch {
    return undefined;
  }
}
