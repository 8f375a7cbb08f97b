import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { z } from "zod";
import { Problem, PROBLEM_CODES, PROBLEM_TYPE } from "#core/contracts/problem.ts";
import { ROLES, SCOPES } from "#core/accounts/accounts.ts";

/* An OpenAPI document as a judge: what may be asked, and whether an answer is one that the document declares. */

export type Schema = Readonly<Record<string, unknown>>;
const ASchema = z.record(z.string(), z.unknown());
const Content = z.record(z.string(), z.object({ schema: ASchema }));
const Answer = z.looseObject({
  content: Content.optional(),
  "x-codes": z.array(z.enum(PROBLEM_CODES)).optional(),
});
const Access = z.discriminatedUnion("who", [
  z.object({ who: z.enum(["anybody", "session", "agent", "join_token"]) }),
  z.object({
    who: z.literal("account"),
    roles: z.array(z.enum(ROLES)),
    scope: z.enum(SCOPES).nullable(),
  }),
]);
const Doc = z.looseObject({
  paths: z.record(
    z.string(),
    z.record(
      z.string(),
      z.looseObject({
        operationId: z.string(),
        "x-access": Access,
        parameters: z
          .array(
            z.looseObject({
              name: z.string(),
              in: z.enum(["path", "query", "header"]),
              required: z.boolean(),
              schema: ASchema,
            }),
          )
          .default([]),
        requestBody: z
          .object({ required: z.boolean().default(false), content: Content })
          .optional(),
        responses: z.record(z.string(), Answer),
      }),
    ),
  ),
  components: z.looseObject({ schemas: z.record(z.string(), ASchema) }),
});
type Described = z.infer<typeof Doc>["paths"][string][string];

export type Operation = Readonly<{
  id: string;
  method: string;
  path: string;
  access: z.infer<typeof Access>;
  parameters: Described["parameters"];
  body: Schema | null;
  bodyIsRequired: boolean;
  /** The codes of the problems that it declares. */
  codes: readonly string[];
  /** True when the document allows this body. */
  takes: (body: unknown) => boolean;
  /** Why the document does not allow this answer; undefined when it does. */
  faultOf: (answer: Heard) => string | undefined;
}>;
export type Heard = Readonly<{ status: number; type: string | null; text: string }>;

export type ApiDocument = Readonly<{
  operations: readonly Operation[];
  resolve: (schema: Schema) => Schema;
  /** True when the value fits the schema, which may refer to the document's components. */
  fits: (schema: Schema, value: unknown) => boolean;
}>;

/** Failures of ours that an answer may never be, declared or not. */
const NEVER = 500;

export function readDocument(document: unknown): ApiDocument {
  const doc = Doc.parse(document);
  const ajv = new Ajv2020({ strictTypes: false, strictRequired: false, allErrors: false });
  addFormats.default(ajv);
  ajv.addFormat("ipv4-cidr", true); // a pattern stands beside it
  ajv.addVocabulary(["example", "x-codes"]);
  const refsIn = (schema: object, to: string): Schema =>
    ASchema.parse(
      JSON.parse(JSON.stringify(schema).replaceAll('"#/components/schemas/', `"${to}#/$defs/`)),
    );
  ajv.addSchema({ $defs: refsIn(doc.components.schemas, "") }, "api");
  const compiled = new Map<string, ValidateFunction>();
  const validator = (schema: Schema): ValidateFunction => {
    const text = JSON.stringify(schema);
    let made = compiled.get(text);
    if (made === undefined) compiled.set(text, (made = ajv.compile(refsIn(schema, "api"))));
    return made;
  };
  const resolve = (schema: Schema): Schema => {
    const name = typeof schema["$ref"] === "string" ? schema["$ref"].split("/").at(-1) : undefined;
    if (name === undefined) return schema;
    const named = doc.components.schemas[name];
    if (named === undefined) throw new Error(`the document has no ${name}`);
    return named;
  };
  const fits = (schema: Schema, value: unknown): boolean => validator(schema)(value);

  const faultOf = (responses: Described["responses"], heard: Heard): string | undefined => {
    if (heard.status === NEVER) return "a failure of ours";
    const declared = responses[String(heard.status)];
    if (declared === undefined) return `${heard.status} is not declared`;
    const [type, content] = Object.entries(declared.content ?? {})[0] ?? [];
    if (type === undefined || content === undefined)
      return heard.text === "" ? undefined : `${heard.status} is declared without a body`;
    if (heard.type?.split(";")[0] !== type) return `it is ${heard.type}, and declared as ${type}`;
    const body: unknown = JSON.parse(heard.text);
    const validate = validator(content.schema);
    if (!validate(body)) return `its body does not fit: ${ajv.errorsText(validate.errors)}`;
    if (type !== PROBLEM_TYPE) return undefined;
    const { status, code } = Problem.parse(body);
    if (status !== heard.status) return `its document says ${status}`;
    return declared["x-codes"]?.includes(code) === true ? undefined : `${code} is not declared`;
  };

  const operations = Object.entries(doc.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, op]): Operation => {
      const body = op.requestBody?.content["application/json"]?.schema ?? null;
      return {
        id: op.operationId,
        method: method.toUpperCase(),
        path,
        access: op["x-access"],
        parameters: op.parameters,
        body,
        codes: Object.values(op.responses).flatMap((answer) => answer["x-codes"] ?? []),
        bodyIsRequired: op.requestBody?.required ?? false,
        takes: (value) => body === null || fits(body, value),
        faultOf: (heard) => faultOf(op.responses, heard),
      };
    }),
  );
  return { operations, resolve, fits };
}
