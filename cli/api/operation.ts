import type { z } from "zod";

/** How an operation of the API is called, and by which schema each of its good answers is checked. */
export type Operation<Answer> = Readonly<{
  method: "GET" | "POST" | "PATCH" | "DELETE";
  /** With `{id}` where a value of the path goes. */
  path: string;
  /** It takes an Idempotency-Key: sent again with the same one, it does nothing twice. */
  keyed: boolean;
  answers: Readonly<Record<number, () => Promise<z.ZodType<Answer>>>>;
}>;
