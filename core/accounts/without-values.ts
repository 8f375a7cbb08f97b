/**
 * An error of the accounts' database as it may be logged. drizzle's message for a failed query holds the query's values,
 * hashes and addresses among them: of such an error only the driver's own stays, as the cause.
 */
export function withoutValues(error: unknown): unknown {
  for (let at = error; at instanceof Error; at = at.cause)
    if ("query" in at && "params" in at)
      return new Error("the accounts' database failed", { cause: at.cause });
  return error;
}

/** Does `work`; what it throws is thrown without values. */
export const guarded = <T>(work: () => Promise<T>): Promise<T> =>
  work().catch((error: unknown) => {
    throw withoutValues(error);
  });
