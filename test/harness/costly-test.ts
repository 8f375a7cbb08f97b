import { test, type TestContext } from "vitest";
import { hasItsTurn } from "./extent.ts";

/** The short form has one in so many of them. */
const ONE_IN = 3;

/** A test that starts whole programs or hosts: the short form has those that the day draws, the long form all. */
export function costlyTest(
  name: string,
  body: (context: TestContext) => Promise<void> | void,
): void {
  // oxlint-disable-next-line vitest/valid-title, vitest/expect-expect -- whoever calls it has both
  test.runIf(hasItsTurn(name, ONE_IN))(name, body);
}
