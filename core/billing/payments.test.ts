import { expect, test } from "vitest";
import { ProviderUnavailable } from "./payments.ts";

test("an outage of the provider says in a log what it is", () => {
  expect(String(new ProviderUnavailable("no answer"))).toBe("ProviderUnavailable: no answer");
});
