import { describe, expect, test } from "vitest";
import { guarded, withoutValues } from "./without-values.ts";

const HASH = "$argon2id$the-hash-of-a-secret";
/** As drizzle's `DrizzleQueryError` is: the values are in its message and in `params`. */
const failedQuery = (driver: unknown) =>
  Object.assign(new Error(`Failed query: select $1\nparams: ${HASH}`, { cause: driver }), {
    query: "select $1",
    params: [HASH],
  });
const DRIVERS = new Error("the connection was closed");

/** Every message and member on the way down an error's causes. */
function allSaid(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return `${error.message} ${JSON.stringify(error)} ${allSaid(error.cause)}`;
}

describe("an error of the accounts' database", () => {
  test.each([
    { name: "of a query", error: failedQuery(DRIVERS) },
    {
      name: "of a query, as another's cause",
      error: new Error("log-in failed", { cause: failedQuery(DRIVERS) }),
    },
    {
      name: "of a query, two causes down",
      error: new Error("no", { cause: new Error("no", { cause: failedQuery(DRIVERS) }) }),
    },
  ])("$name keeps only what the driver said", ({ error }) => {
    expect(allSaid(error)).toContain(HASH);
    const told = withoutValues(error);
    expect(told).toEqual(new Error("the accounts' database failed", { cause: DRIVERS }));
    expect(allSaid(told)).not.toContain(HASH);
  });

  test.each([
    { name: "an error without a query", error: new Error("a bug", { cause: DRIVERS }) },
    {
      name: "an error with a query and no values",
      error: Object.assign(new Error("a bug"), { query: "q" }),
    },
    {
      name: "an error with values and no query",
      error: Object.assign(new Error("a bug"), { params: ["p"] }),
    },
    { name: "what is no error", error: "a text" },
    { name: "what only looks like one", error: { query: "q", params: ["p"] } },
    { name: "nothing", error: undefined },
  ])("$name is passed on as it is", ({ error }) => {
    expect(withoutValues(error)).toBe(error);
  });
});

describe("guarded work", () => {
  test("gives what it comes to", async () => {
    expect(await guarded(async () => "done")).toBe("done");
  });

  test("fails without values", async () => {
    const failed = guarded(() => Promise.reject(failedQuery(DRIVERS)));
    await expect(failed).rejects.toEqual(
      new Error("the accounts' database failed", { cause: DRIVERS }),
    );
  });

  test("fails with any other error as it is", async () => {
    const bug = new TypeError("a bug");
    await expect(guarded(() => Promise.reject(bug))).rejects.toBe(bug);
  });
});
