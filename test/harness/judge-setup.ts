import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import type { TestProject } from "vitest/node";
import { z } from "zod";
import { ABSENT } from "./stripe-file.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Where calls are judged. */
    stripeJudge: string;
  }
}

/** What a test's stand-in was asked and answers, or an event that it sends. Bodies are text, as on the wire. */
export const Looked = z.union([
  z.object({
    method: z.string(),
    path: z.string(),
    parameters: z.string(),
    status: z.number(),
    body: z.string(),
  }),
  z.object({ event: z.string() }),
]);
export type Looked = z.infer<typeof Looked>;

/**
 * Judges for all files of a project, in one process: schemas are compiled once for the run and not once for each file,
 * which costs more than all judging.
 */
export default async function setup(project: TestProject): Promise<(() => Promise<void>) | void> {
  if (ABSENT !== null) return;
  const judge = async (body: string): Promise<string[]> => {
    const { stripeDescription } = await import("./stripe-description.ts");
    const description = stripeDescription();
    return z
      .array(Looked)
      .parse(JSON.parse(body))
      .flatMap((looked) => {
        try {
          return "event" in looked
            ? description.misfitsOfEvent(JSON.parse(looked.event))
            : description.misfitsOf(looked);
        } catch (error) {
          return [`not to be judged: ${String(error)}`];
        }
      });
  };
  const server = createServer((request, response) => {
    text(request)
      .then(judge)
      .then(
        (misfits) => response.end(JSON.stringify(misfits)),
        (error: unknown) => response.writeHead(500).end(String(error)),
      );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the judge has no port");
  project.provide("stripeJudge", `http://127.0.0.1:${address.port}`);
  return () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
}
