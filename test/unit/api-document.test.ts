import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { z } from "zod";
import { problemDocument, PROBLEM_TYPE, type ProblemCode } from "#core/contracts/problem.ts";
import { describedApi, openapiText } from "../../scripts/openapi-text.ts";
import { readDocument, type Heard } from "#test/harness/api-document.ts";

const text = readFileSync(path.join(import.meta.dirname, "../../docs/openapi.json"), "utf8");
const Doc = z.looseObject({
  paths: z.record(
    z.string(),
    z.record(z.string(), z.looseObject({ responses: z.record(z.string(), z.unknown()) })),
  ),
});

/** What the document, changed by `plant`, says of an answer of `GET /v1/vms/{id}`. */
function faultOf(heard: Heard, plant: (responses: Record<string, unknown>) => void = () => {}) {
  const doc = Doc.parse(JSON.parse(text));
  plant(doc.paths["/v1/vms/{id}"]?.["get"]?.responses ?? {});
  const op = readDocument(doc).operations.find(({ id }) => id === "showVm");
  if (op === undefined) throw new Error("the document has no showVm");
  return op.faultOf(heard);
}
const problem = (code: ProblemCode, over: Partial<Heard> = {}): Heard => {
  const body = problemDocument(code, "no", "0199f0a2");
  return { status: body.status, type: PROBLEM_TYPE, text: JSON.stringify(body), ...over };
};

test("docs/openapi.json is the document that the routes make", () => {
  // Parsed, so that what differs is shown by its place; the order of members means nothing to a reader.
  expect(JSON.parse(openapiText(describedApi()))).toEqual(JSON.parse(text));
});

test("an answer that is declared is no fault", () => {
  expect(faultOf(problem("forbidden"))).toBeUndefined();
  expect(faultOf(problem("vm_not_found"))).toBeUndefined();
});

test.each([
  {
    name: "a status that is not declared",
    heard: problem("forbidden"),
    plant: (responses: Record<string, unknown>) => delete responses["403"],
    fault: "403 is not declared",
  },
  {
    name: "a status that its document does not say",
    heard: problem("vm_locked", { status: 404 }),
    fault: "its document says 409",
  },
  {
    name: "another code of a declared status",
    heard: problem("order_not_found"),
    fault: "order_not_found is not declared",
  },
  {
    name: "a failure of ours, declared or not",
    heard: problem("internal"),
    fault: "a failure of ours",
  },
  {
    name: "a body of another type",
    heard: problem("forbidden", { type: "text/plain" }),
    fault: `it is text/plain, and declared as ${PROBLEM_TYPE}`,
  },
  {
    name: "a body of another shape",
    heard: { status: 200, type: "application/json", text: '{"id":"vm_1"}' },
    fault: expect.stringMatching(/^its body does not fit/),
  },
])("$name is one", ({ heard, plant, fault }) => {
  expect(faultOf(heard, plant)).toEqual(fault);
});
