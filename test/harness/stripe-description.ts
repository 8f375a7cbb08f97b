import { readFileSync } from "node:fs";
import { Ajv, type ErrorObject, type SchemaValidateFunction, type ValidateFunction } from "ajv";
import { decodeForm } from "#local/stripe/form.ts";
import { STRIPE_FILE } from "./stripe-file.ts";
import {
  contentOf,
  formOf,
  isSchema,
  listOf,
  plainSchema,
  withLists,
  type Schema,
} from "./stripe-schemas.ts";

/**
 * Where the pinned client's own types (2026-10-28) and the description (2026-08-26) part. The stand-in follows the
 * client's, which it is typed with; a test holds that each of these still excuses something.
 */
export type KnownDifference = Readonly<{
  kind: string;
  field: string;
  is: "new" | "no longer required";
}>;
const NEW_FIELDS: Readonly<Record<string, readonly string[]>> = {
  // The types have each of these as one that is always there; the description does not name them.
  charge: ["source"],
  "checkout.session": ["allowed_payment_method_types"],
  dispute: ["intended_submission_method"],
  dispute_evidence_details: ["submission_method"],
  payment_intent: ["payment_record", "source"],
  payment_method_details_card: ["electronic_commerce_indicator"],
  portal_features: ["subscription_pause"],
  product: ["tax_details", "type"],
  recurring: ["trial_period_days"],
  subscription_item: ["current_trial", "plan"],
  subscriptions_resource_pending_update: ["cancel_at_period_end"],
  subscriptions_resource_trial_settings_end_behavior: ["billing_cycle_anchor"],
};
export const KNOWN_DIFFERENCES: readonly KnownDifference[] = [
  // The types have it as optional: only invoices that were paid outside Stripe carry it.
  { kind: "invoice", field: "amount_paid_off_stripe", is: "no longer required" },
  ...Object.entries(NEW_FIELDS).flatMap(([kind, fields]) =>
    fields.map((field) => ({ kind, field, is: "new" as const })),
  ),
];

/** Parameters that are asked for in another shape since, by operation. */
const CHANGED_PARAMETERS: Readonly<Record<string, Readonly<Record<string, Schema>>>> = {
  "POST /v1/subscriptions/{subscription_exposed_id}": {
    // https://docs.stripe.com/changelog/endive/2026-09-30/polymorphic-billing-cycle-anchor
    billing_cycle_anchor: {
      type: "object",
      required: ["type"],
      properties: { type: { enum: ["now", "unchanged"] } },
      additionalProperties: false,
    },
  },
};

/** One call that was answered. `parameters`: query and form, as they were on the wire. */
export type JudgedCall = Readonly<{
  method: string;
  path: string;
  parameters: string;
  status: number;
  body: string;
}>;

export type StripeDescription = Readonly<{
  /** What does not fit: of the request, unless it was refused as malformed, and of the answer with its events. */
  misfitsOf: (call: JudgedCall) => string[];
  /** What does not fit in an event: itself, and the object that it is about. */
  misfitsOfEvent: (event: unknown) => string[];
}>;

/** Statuses of a request that Stripe does not look into: malformed, without a key, too large. */
const NOT_LOOKED_INTO = new Set([400, 401, 413]);

let opened: StripeDescription | undefined;

/** The description, read once in a process. Schemas are compiled when the first object of theirs is seen. */
export function stripeDescription(): StripeDescription {
  opened ??= describeStripe(KNOWN_DIFFERENCES);
  return opened;
}

/** `allErrors`: each misfit of an object, not the first alone. */
export function describeStripe(
  known: readonly KnownDifference[],
  { allErrors } = { allErrors: false },
): StripeDescription {
  const file: unknown = JSON.parse(readFileSync(STRIPE_FILE, "utf8"));
  const components = isSchema(file) && isSchema(file["components"]) ? file["components"] : {};
  const schemas = isSchema(components["schemas"]) ? components["schemas"] : {};
  const paths = isSchema(file) && isSchema(file["paths"]) ? file["paths"] : {};

  const answers = lazyValidator({ allErrors, coerceTypes: false }, (name) =>
    withKnown(name, schemas[name], known),
  );
  // A form has only text: numbers and booleans become what the schema says.
  const requests = lazyValidator({ allErrors, coerceTypes: true }, (name) => schemas[name]);

  const routes = Object.keys(paths)
    .map((template) => ({
      template,
      pattern: new RegExp(`^${template.replaceAll(".", "\\.").replace(/\{[^}]+\}/g, "[^/]+")}$`),
    }))
    // `/v1/customers/search` before `/v1/customers/{customer}`.
    .toSorted((a, b) => a.template.split("{").length - b.template.split("{").length);

  const operationAt = lazily((at: string) => {
    const [method = "", template = ""] = at.split(" ");
    const methods = paths[template];
    const operation = isSchema(methods) ? methods[method.toLowerCase()] : undefined;
    if (!isSchema(operation)) return null;
    const form = withChanged(formOf(operation), CHANGED_PARAMETERS[at]);
    const responses = isSchema(operation["responses"]) ? operation["responses"] : {};
    return {
      form,
      request: requests.compile(form),
      answer: lazily((status: string) => {
        const schema = contentOf(responses[status], "application/json");
        if (schema === undefined) throw new Error(`the description has no ${status} of ${at}`);
        return answers.compile(schema);
      }),
    };
  });

  const misfitsOfEvent = (event: unknown): string[] => {
    const data = isSchema(event) && isSchema(event["data"]) ? event["data"]["object"] : undefined;
    const kind = isSchema(data) ? String(data["object"]) : "nothing";
    return [
      ...misfits("an event", answers.ofKind("event"), event),
      ...(Object.hasOwn(schemas, kind)
        ? misfits(`an event's ${kind}`, answers.ofKind(kind), data)
        : [`an event is about ${kind}, which the description does not have`]),
    ];
  };

  return {
    misfitsOfEvent,
    misfitsOf: ({ method, path: called, parameters, status, body }) => {
      const template = routes.find(({ pattern }) => pattern.test(called))?.template ?? called;
      const at = `${method} ${template}`;
      const operation = operationAt(at);
      // What the stand-in refuses because it is not there need not be in the description.
      if (operation === null) return status === 404 ? [] : [`the description has no ${at}`];
      const answer: unknown = JSON.parse(body);
      const { form, request } = operation;
      return [
        ...(NOT_LOOKED_INTO.has(status)
          ? []
          : misfits(`request of ${at}`, request, withLists(decodeForm(parameters), form))),
        ...misfits(
          `answer ${status} of ${at}`,
          operation.answer(status === 200 ? "200" : "default"),
          answer,
        ),
        ...eventsIn(answer).flatMap(misfitsOfEvent),
      ];
    },
  };
}

function withChanged(form: Schema, changed: Readonly<Record<string, Schema>> = {}): Schema {
  const { properties } = form;
  return { ...form, properties: { ...(isSchema(properties) ? properties : {}), ...changed } };
}

function withKnown(kind: string, schema: unknown, known: readonly KnownDifference[]): unknown {
  const mine = known.filter((difference) => difference.kind === kind);
  if (mine.length === 0 || !isSchema(schema)) return schema;
  const fieldsOf = (is: KnownDifference["is"]) =>
    mine.filter((difference) => difference.is === is).map(({ field }) => field);
  const optional = new Set<unknown>(fieldsOf("no longer required"));
  return {
    ...schema,
    properties: {
      ...(isSchema(schema["properties"]) ? schema["properties"] : {}),
      ...Object.fromEntries(fieldsOf("new").map((field) => [field, {}])),
    },
    required: listOf(schema["required"]).filter((field) => !optional.has(field)),
  };
}

/** Compiles an object's schema when the first such object is looked at: of most of Stripe's there is never one. */
function lazyValidator(
  options: { allErrors: boolean; coerceTypes: boolean },
  schemaNamed: (name: string) => unknown,
) {
  const ajv = new Ajv({
    ...options,
    strict: false,
    // Most schemas are used a few times: what costs is to compile them.
    addUsedSchema: false,
    code: { optimize: false },
    messages: false,
    meta: false,
    validateSchema: false,
    validateFormats: false,
    unicodeRegExp: false,
  });
  const inline: Schema[] = [];
  const later = (schema: Schema): Schema => {
    const { $ref } = schema;
    if (typeof $ref === "string") return { later: $ref.split("/").at(-1) };
    return { later: `#${inline.push(schema) - 1}` };
  };
  const compile = (schema: Schema) => ajv.compile(plainSchema(schema, later));
  const named = lazily((name: string) => {
    const schema = name.startsWith("#") ? inline[Number(name.slice(1))] : schemaNamed(name);
    if (!isSchema(schema)) throw new Error(`the description has no ${name}`);
    return compile(schema);
  });
  const validate: SchemaValidateFunction = (name: string, data: unknown, _parent, context) => {
    const found = named(name);
    if (found(data)) return true;
    const at = context?.instancePath ?? "";
    validate.errors = (found.errors ?? []).map((error) => ({
      ...error,
      instancePath: `${at}${error.instancePath}`,
      params: { of: name, ...error.params }, // the innermost has it already
    }));
    return false;
  };
  ajv.addKeyword({ keyword: "later", schemaType: "string", errors: "full", validate });
  return {
    ofKind: lazily((kind: string) => ajv.compile({ later: kind })),
    /** A body's schema, which may be but a name. */
    compile: (schema: Schema) => ("$ref" in schema ? ajv.compile(later(schema)) : compile(schema)),
  };
}

function misfits(name: string, validate: ValidateFunction, data: unknown): string[] {
  if (validate(data)) return [];
  const errors = validate.errors ?? [];
  // Of a choice, what the object would have had to be says more than that it is none of them.
  const telling = errors.filter(
    ({ keyword, params }) => keyword !== "anyOf" && params["type"] !== "null",
  );
  return (telling.length > 0 ? telling : errors).map((error) => `${name}: ${said(error)}`);
}
const said = ({ instancePath, keyword, params }: ErrorObject): string =>
  `${instancePath || "/"} ${keyword} ${JSON.stringify(params)}`;

/** The events that an answer is or lists. */
function eventsIn(answer: unknown): unknown[] {
  if (!isSchema(answer)) return [];
  if (answer["object"] === "event") return [answer];
  return answer["object"] === "list" ? listOf(answer["data"]).flatMap(eventsIn) : [];
}

function lazily<T>(make: (key: string) => T): (key: string) => T {
  const made = new Map<string, T>();
  return (key) => {
    const found = made.get(key);
    if (found !== undefined) return found;
    const fresh = make(key);
    made.set(key, fresh);
    return fresh;
  };
}
