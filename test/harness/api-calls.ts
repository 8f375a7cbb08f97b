import fc from "fast-check";
import { v7 } from "uuid";
import { z } from "zod";
import { ID_PREFIX, type IdKind } from "#core/ids.ts";
import { PASSWORD } from "#test/db/accounts/account-builders.ts";
import type { Operation, Schema } from "./api-document.ts";
import { CALLERS, type ApiWorld, type Call, type Caller } from "./api-world.ts";
import { spoiledOf, valuesOf, type Known } from "./schema-values.ts";

export function exampleOf({ document }: ApiWorld, schema: string, property: string): unknown {
  const named = document.resolve({ $ref: `#/components/schemas/${schema}` });
  const OfItems = z.object({ items: z.object({ example: z.unknown() }) });
  const Properties = z.object({ properties: z.record(z.string(), z.unknown()) });
  return OfItems.parse(Properties.parse(named).properties[property]).items.example;
}

/** Ids that are there, passwords that are right. */
const knownIn =
  ({ there, uuids }: ApiWorld): Known =>
  (schema, property) => {
    const pattern = String(schema["pattern"]);
    for (const [kind, prefix] of Object.entries(ID_PREFIX))
      if (pattern.startsWith(`^${prefix}_`))
        return Object.entries(there).find(([k]) => k === kind)?.[1];
    if (schema["format"] === "uuid") return uuids;
    if (property === "currentPassword" || property === "password") return [PASSWORD];
    if (property === "hostname") return ["web-1", "web-1.example.com"];
    if (property === "bootEpoch") return ["boot-1"];
    return undefined;
  };
const bodiesOf = (w: ApiWorld, op: Operation): fc.Arbitrary<unknown> =>
  op.body === null
    ? fc.constant(undefined)
    : // A new password is always the old one, or nobody could log in any more.
      valuesOf(w.document, op.body, { known: knownIn(w), now: w.cp.clock.now }).map((body) =>
        op.id === "changePassword" ? { ...Object(body), newPassword: PASSWORD } : body,
      );

export const rightCallersOf = ({ access }: Operation): readonly Caller[] => {
  switch (access.who) {
    case "account":
      return CALLERS.filter((caller) => access.roles.some((role) => role === caller));
    case "agent":
    case "session":
      return [access.who];
    case "anybody":
    case "join_token":
      return ["nobody"];
  }
};

/** Who may call it, most of the time. */
const callersOf = (op: Operation): fc.Arbitrary<Caller> =>
  fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...rightCallersOf(op)) },
    { weight: 1, arbitrary: fc.constantFrom(...CALLERS) },
  );

export const noId = (kind: IdKind): string => `${ID_PREFIX[kind]}_${"0".repeat(32)}`;
/** An id of the kind that the schema wants, of nothing. */
export const noneLike = (schema: Schema): string =>
  /^\^([a-z]+)_/.exec(String(schema["pattern"]))?.[1]?.concat(`_${"0".repeat(32)}`) ?? v7();

const BAD_VALUES = [
  "",
  "%00",
  "0",
  "-1",
  "🚀",
  "x".repeat(300),
  "vm_1",
  "' or 1=1 --",
  "99999999999999",
];

function parametersOf(w: ApiWorld, op: Operation): fc.Arbitrary<Record<string, unknown>> {
  const fields: Record<string, fc.Arbitrary<unknown>> = {};
  for (const p of op.parameters) {
    const { id } = op;
    const fitting: fc.Arbitrary<unknown> =
      id === "revokeToken"
        ? fc.constantFrom(...w.ownTokens)
        : valuesOf(w.document, p.schema, {
            known: knownIn(w),
            now: w.cp.clock.now,
            property: p.name,
          });
    const bad =
      p.name === "idempotency-key" ? ["short", "x".repeat(256), "with a space"] : BAD_VALUES;
    // A path's value is never empty, nor is a header's left over: those would be another route, and none.
    const spoiled = fc.constantFrom(...bad.filter((v) => p.in !== "path" || v !== ""));
    const options = [
      { weight: 8, arbitrary: fitting },
      { weight: 1, arbitrary: spoiled },
    ];
    fields[p.name] = fc.oneof(
      ...options,
      ...(p.in === "path"
        ? []
        : [{ weight: p.required ? 1 : 5, arbitrary: fc.constant(undefined) }]),
    );
  }
  // The agents' wire is open (docs/adr/0013): a document has no word for that in a query.
  const isClosed = !op.path.startsWith("/agent/");
  const strange =
    isClosed && op.parameters.some((p) => p.in === "query")
      ? fc.oneof(
          { weight: 9, arbitrary: fc.constant({}) },
          { weight: 1, arbitrary: fc.constant({ unexpected: 1 }) },
        )
      : fc.constant({});
  return fc.tuple(fc.record(fields), strange).map(([own, more]) => ({ ...own, ...more }));
}

/** Calls of an operation, by everybody: such as its document allows, and such as it does not. */
export function callsOf(w: ApiWorld, op: Operation): fc.Arbitrary<Call> {
  const json = (body: unknown) => ({ body: JSON.stringify(body), type: "application/json" });
  const fitting = bodiesOf(w, op);
  const bodies =
    op.body === null
      ? fc.constantFrom(
          { body: undefined, type: undefined },
          { body: undefined, type: "text/plain" },
        )
      : fc.oneof(
          { weight: 5, arbitrary: fitting.map(json) },
          { weight: 3, arbitrary: fitting.chain(spoiledOf).map(json) },
          {
            weight: 1,
            arbitrary: fc.constantFrom(
              { body: undefined, type: undefined },
              { body: "{", type: "application/json" },
              { body: "", type: "application/json" },
              { body: "[]", type: "application/json" },
              { body: "a=b", type: "application/x-www-form-urlencoded" },
              { body: "{}", type: undefined },
            ),
          },
        );
  return fc
    .tuple(callersOf(op), parametersOf(w, op), bodies)
    .map(([caller, parameters, body]) => ({ caller, parameters, ...body }));
}
