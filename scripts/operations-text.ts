import { globSync } from "node:fs";
import path from "node:path";
import { z } from "zod";
import type { describedApi } from "./openapi-text.ts";

/** Not for the command line: the agents' channel, log-ins (their answers come with cookies), and what monitoring asks. */
const LEFT_OUT = /^\/(agent\/|v1\/auth\/|healthz$)/;
const CONTRACTS = "core/contracts/api";

/** A schema of `core/contracts/api`: the file without its ending, and its name there. */
type Place = Readonly<{ file: string; name: string }>;

const Operation = z.object({
  operationId: z.string(),
  method: z.string(),
  path: z.string(),
  request: z
    .looseObject({
      headers: z.object({ shape: z.looseObject({}) }).optional(),
      query: z.unknown().optional(),
      body: z.object({ content: z.looseObject({}) }).optional(),
    })
    .optional(),
  responses: z.record(z.string(), z.looseObject({ content: z.looseObject({}).optional() })),
});
type Operation = z.infer<typeof Operation>;

/**
 * What `cli/api/operations.ts` is to hold: each operation with its types and with what its answers are checked by, which are
 * the very schemas that the routes are made of. The registry of the routes holds them as objects, so that they are found by
 * what they are, and by no name that is written twice.
 */
export async function operationsText(api: ReturnType<typeof describedApi>): Promise<string> {
  const places = await placesOfSchemas();
  const placeOf = (schema: unknown, what: string): Place => {
    const place = places.get(schema);
    if (place === undefined) throw new Error(`${what} is no export of ${CONTRACTS}`);
    return place;
  };
  const operations = api.openAPIRegistry.definitions
    .flatMap((definition) =>
      definition.type === "route" ? [Operation.parse(definition.route)] : [],
    )
    .filter((operation) => !LEFT_OUT.test(operation.path))
    .toSorted((a, b) => (a.operationId < b.operationId ? -1 : 1))
    .map((operation) => shapeOf(operation, placeOf));
  const files = new Set(operations.flatMap(({ used }) => used.map(({ file }) => file)));
  return [
    "/* Written by `npm run openapi`, of the routes. */",
    'import type { z } from "zod";',
    'import type { Operation } from "./operation.ts";',
    ...[...files]
      .toSorted()
      .map((f) => `import type * as ${nameOf(f)} from "#${CONTRACTS}/${f}.ts";`),
    "",
    "/** What each operation takes, and what it answers. */",
    "export type Operations = {",
    ...operations.map(({ type }) => type),
    "};",
    "",
    "/** How each is called. A schema is loaded with the first answer that it checks. */",
    'export const OPERATIONS: { readonly [N in keyof Operations]: Operation<Operations[N]["answer"]> } = {',
    ...operations.map(({ call }) => call),
    "};",
    "",
  ].join("\n");
}

async function placesOfSchemas(): Promise<Map<unknown, Place>> {
  const root = path.resolve(import.meta.dirname, "..");
  const places = new Map<unknown, Place>();
  const files = globSync(`${CONTRACTS}/*.ts`, { cwd: root, exclude: ["**/*.test.ts"] }).toSorted();
  for (const file of files) {
    const exported: unknown = await import(path.join(root, file));
    for (const [name, value] of Object.entries(z.looseObject({}).parse({ ...Object(exported) })))
      if (value instanceof z.ZodType && !places.has(value))
        places.set(value, { file: path.basename(file, ".ts"), name });
  }
  return places;
}

/** `staff-vms` is a file, and no name of a variable. */
const nameOf = (file: string) =>
  file.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
const jsonOf = (content: object | undefined): unknown =>
  z.object({ schema: z.unknown() }).optional().parse(Object(content)["application/json"])?.schema;

function shapeOf(
  { operationId: id, method, path, request, responses }: Operation,
  placeOf: (schema: unknown, what: string) => Place,
) {
  const used: Place[] = [];
  const typeOf = (side: "input" | "output", schema: unknown, what: string): string => {
    const place = placeOf(schema, `${what} of ${id}`);
    used.push(place);
    return `z.${side}<typeof ${nameOf(place.file)}.${place.name}>`;
  };
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => name);
  const body = jsonOf(request?.body?.content);
  const answers = Object.entries(responses)
    .filter(([status]) => status.startsWith("2"))
    .map(([status, { content }]) => ({ status, schema: jsonOf(content) }));
  const types = new Set(
    answers.map(({ schema }) =>
      schema === undefined ? "null" : typeOf("output", schema, "an answer"),
    ),
  );
  const loads = answers.map(({ status, schema }) => {
    if (schema === undefined)
      return `${status}: () => import("./nothing.ts").then((m) => m.Nothing)`;
    const { file, name } = placeOf(schema, `an answer of ${id}`);
    return `${status}: () => import("#${CONTRACTS}/${file}.ts").then((m) => m.${name})`;
  });
  const takes = [
    `path: {${names.map((name) => ` ${name}: string `).join(";")}};`,
    `query: ${request?.query === undefined ? "{}" : typeOf("input", request.query, "the query")};`,
    `body: ${body === undefined ? "undefined" : typeOf("input", body, "the body")};`,
  ].join(" ");
  const keyed = "idempotency-key" in (request?.headers?.shape ?? {});
  return {
    used,
    type: `  ${id}: { ${takes} answer: ${[...types].join(" | ")} };`,
    call: `  ${id}: { method: "${method.toUpperCase()}", path: "${path}", keyed: ${keyed}, answers: { ${loads.join(", ")} } },`,
  };
}
