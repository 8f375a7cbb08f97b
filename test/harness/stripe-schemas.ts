import type { FormTree } from "#local/stripe/form.ts";

/** A schema of OpenAPI 3.0, or one that ajv understands. */
export type Schema = { readonly [key: string]: unknown };

export const isSchema = (value: unknown): value is Schema =>
  typeof value === "object" && value !== null && !Array.isArray(value);
export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
const entriesOf = (value: unknown) =>
  isSchema(value)
    ? Object.entries(value).flatMap(([name, each]) =>
        isSchema(each) ? [[name, each] as const] : [],
      )
    : [];
const schemasOf = (value: unknown): Schema[] => listOf(value).filter(isSchema);
const hasFields = ({ properties }: Schema): boolean =>
  isSchema(properties) && Object.keys(properties).length > 0;

/**
 * OpenAPI 3.0 as JSON Schema, one level of it: each object below is left to `later`, which answers with what stands
 * for it, because everything in Stripe leads to everything. `nullable` becomes a choice. No object has a field that the
 * description does not name; but of kinds that were cut to `id` and `object`, it names only these.
 */
export function plainSchema(schema: Schema, later: (schema: Schema) => Schema): Schema {
  const below = (each: Schema): Schema => {
    const { nullable, ...rest } = each;
    const stands = "$ref" in rest || hasFields(rest) ? later(rest) : plainSchema(rest, later);
    return nullable === true ? { anyOf: [{ type: "null" }, stands] } : stands;
  };
  const { type, enum: values, pattern, maxLength, anyOf, items, required } = schema;
  const { properties, additionalProperties: more } = schema;
  const plain: { [key: string]: unknown } = {};
  for (const [key, value] of Object.entries({ type, enum: values, pattern, maxLength, required }))
    if (value !== undefined) plain[key] = value;
  if (anyOf !== undefined) plain["anyOf"] = schemasOf(anyOf).map(below);
  if (isSchema(items)) plain["items"] = below(items);
  if (properties !== undefined)
    plain["properties"] = Object.fromEntries(entriesOf(properties).map(([k, v]) => [k, below(v)]));
  if (isSchema(more)) plain["additionalProperties"] = below(more);
  else if (more !== undefined) plain["additionalProperties"] = more;
  else if (hasFields(schema) && !isCut(schema)) plain["additionalProperties"] = false;
  return plain;
}

function isCut({ properties }: Schema): boolean {
  const names = Object.keys(isSchema(properties) ? properties : {});
  return names.length === 2 && names.includes("id") && names.includes("object");
}

/** What a call may send: a GET's parameters by name in the query, the others' in a form. */
export function formOf(operation: Schema): Schema {
  const query = schemasOf(operation["parameters"]).filter(
    (parameter) => parameter["in"] === "query",
  );
  const body = contentOf(operation["requestBody"], "application/x-www-form-urlencoded");
  return {
    type: "object",
    properties: {
      ...Object.fromEntries(query.map(({ name, schema }) => [name, schema])),
      ...(isSchema(body?.["properties"]) ? body["properties"] : {}),
    },
    required: [
      ...query.filter(({ required }) => required === true).map(({ name }) => name),
      ...listOf(body?.["required"]),
    ],
    additionalProperties: false,
  };
}

/** The schema of a request's or an answer's body. */
export function contentOf(body: unknown, type: string): Schema | undefined {
  const content = isSchema(body) ? body["content"] : undefined;
  const found = isSchema(content) ? content[type] : undefined;
  return isSchema(found) && isSchema(found["schema"]) ? found["schema"] : undefined;
}

/** A decoded form knows no lists: trees with the keys 0, 1, 2 become one where the schema wants one. */
export function withLists(value: string | FormTree, schema: Schema): unknown {
  if (typeof value === "string") return value;
  const alternatives = alternativesOf(schema);
  const list = alternatives.find(({ type }) => type === "array");
  if (list !== undefined && Object.keys(value).every((key, n) => key === String(n))) {
    const items = isSchema(list["items"]) ? list["items"] : {};
    return Object.values(value).map((each) => withLists(each, items));
  }
  const below = (key: string): Schema => {
    for (const { properties, additionalProperties: more } of alternatives) {
      const named = isSchema(properties) && Object.hasOwn(properties, key) ? properties[key] : more;
      if (isSchema(named)) return named;
    }
    return {};
  };
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [key, withLists(each, below(key))]),
  );
}

const alternativesOf = (schema: Schema): Schema[] =>
  schema["anyOf"] === undefined ? [schema] : schemasOf(schema["anyOf"]).flatMap(alternativesOf);
