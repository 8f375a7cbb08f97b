import { describe, expect, test } from "vitest";
import { Problem, PROBLEM_TYPE, problemDocument } from "./problem.ts";

describe("a problem's document", () => {
  test("tells the code by name, as a URN and in words, with its status", () => {
    expect(problemDocument("too_many_unpaid_orders", "5 are open", "request-1")).toStrictEqual({
      type: "urn:berth:problem:too_many_unpaid_orders",
      title: "too many unpaid orders",
      status: 409,
      code: "too_many_unpaid_orders",
      detail: "5 are open",
      instance: "request-1",
    });
    expect(PROBLEM_TYPE).toBe("application/problem+json");
  });

  test("tells each field that was not accepted, when there are any", () => {
    const errors = [
      { path: "hostname", message: "too long" },
      { path: "sshKeys.0", message: "no key" },
    ];
    const document = problemDocument("invalid_request", "2 fields", "request-2", errors);
    expect(document).toStrictEqual({
      type: "urn:berth:problem:invalid_request",
      title: "invalid request",
      status: 400,
      code: "invalid_request",
      detail: "2 fields",
      instance: "request-2",
      errors,
    });
    expect(Problem.parse({ ...document, reason: "password_too_short" })).toEqual({
      ...document,
      reason: "password_too_short",
    });
  });
});
