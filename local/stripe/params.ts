import { z } from "zod";
import { invalidRequest, type ApiError } from "./api-error.ts";
import { paramName, type FormTree } from "./form.ts";

/*
 * The parameters of each call, as schemas over decoded forms. `paramsOf<Stripe.XParams>()` lets a schema name
 * only what the official client's own type names, and the schema is strict: what it leaves out is refused.
 */

type ShapeOf<P, S> = { [K in keyof S]: K extends keyof P ? z.ZodType : never };

/** A strict schema over the fields of `P`. Every call takes `expand`. */
export const paramsOf =
  <P>() =>
  <S extends ShapeOf<P, S>>(shape: S) =>
    z.strictObject({ ...shape, expand: listOf(text()).optional() });

/** As `paramsOf`, with what every list takes: paging and `created`. */
export const listParamsOf =
  <P>() =>
  <S extends ShapeOf<P, S>>(shape: S) =>
    z.strictObject({
      ...shape,
      limit: int({ min: 1, max: 100 }).optional(),
      starting_after: text().optional(),
      ending_before: text().optional(),
      created: range().optional(),
      expand: listOf(text()).optional(),
    });

const problem = (ctx: z.RefinementCtx, message: string, stripeCode?: string): never => {
  ctx.addIssue({ code: "custom", message, params: { stripeCode } });
  return z.NEVER;
};

/** A text that is not empty: Stripe reads the empty text as "unset". */
export const text = (max = 5000) =>
  z.string().check((ctx) => {
    if (ctx.value === "")
      ctx.issues.push({
        code: "custom",
        input: ctx.value,
        params: { stripeCode: "parameter_invalid_empty" },
      });
    else if (ctx.value.length > max)
      ctx.issues.push({
        code: "custom",
        input: ctx.value,
        message: `Invalid string: must be at most ${max} characters`,
        params: { stripeCode: "parameter_invalid_string" },
      });
  });

/** `inner`, or the empty text, which unsets it: null. */
export const clearable = <T extends z.ZodType>(inner: T) =>
  z.union([z.literal("").transform(() => null), inner]);

export const int = (bounds: { min?: number; max?: number } = {}) =>
  z.string().transform((value, ctx): number => {
    const number = Number(value);
    if (!/^-?\d{1,15}$/.test(value) || !Number.isSafeInteger(number))
      return problem(ctx, `Invalid integer: ${value}`, "parameter_invalid_integer");
    if (bounds.min !== undefined && number < bounds.min)
      return problem(
        ctx,
        `This value must be greater than or equal to ${bounds.min}.`,
        "parameter_invalid_integer",
      );
    if (bounds.max !== undefined && number > bounds.max)
      return problem(
        ctx,
        `This value must be less than or equal to ${bounds.max} (it currently is '${value}').`,
        "parameter_invalid_integer",
      );
    return number;
  });

/** A number with up to four decimals. */
export const decimal = (bounds: { min: number; max: number }) =>
  z.string().transform((value, ctx): number => {
    const number = Number(value);
    if (!/^\d{1,9}(\.\d{1,4})?$/.test(value) || number < bounds.min || number > bounds.max)
      return problem(ctx, `Invalid decimal: ${value}`, "parameter_invalid_decimal");
    return number;
  });

export const bool = () =>
  z.string().transform((value, ctx): boolean => {
    if (value === "true" || value === "1") return true;
    if (value === "false" || value === "0") return false;
    return problem(ctx, `Invalid boolean: ${value}`);
  });

export const choice = <const T extends readonly [string, ...string[]]>(values: T) =>
  z.enum(values, { error: () => `must be one of ${values.join(", ")}` });

export const url = () =>
  text().check((ctx) => {
    // Checkout's placeholder stands in a URL as it is.
    const candidate = ctx.value.replaceAll("{CHECKOUT_SESSION_ID}", "cs_test_x");
    if (!URL.canParse(candidate) || !/^https?:/.test(candidate))
      ctx.issues.push({
        code: "custom",
        input: ctx.value,
        message: "Not a valid URL",
        params: { stripeCode: "url_invalid" },
      });
  });

/** A list on the wire is a tree with the keys 0, 1, 2 … */
export const listOf = <T extends z.ZodType>(inner: T) =>
  z.preprocess((value) => {
    if (typeof value !== "object" || value === null) return value;
    const keys = Object.keys(value);
    if (!keys.every((key) => /^\d{1,4}$/.test(key))) return value;
    return Object.entries(value)
      .sort(([a], [b]) => Number(a) - Number(b))
      .map(([, item]) => item);
  }, z.array(inner).max(100));

export const tree = <S extends z.core.$ZodLooseShape>(shape: S) => z.strictObject(shape);

/** What a call asks of the metadata: keys to set (empty text unsets one), or null to unset all. */
export type MetadataChange = Record<string, string> | null;
const MAX_METADATA_KEYS = 50;
export const metadata = () =>
  clearable(
    z.record(z.string(), z.string()).superRefine((entries, ctx) => {
      if (Object.keys(entries).length > MAX_METADATA_KEYS)
        problem(ctx, `You can have at most ${MAX_METADATA_KEYS} metadata keys.`);
      for (const [key, value] of Object.entries(entries)) {
        if (key.length > 40) problem(ctx, `Metadata keys have at most 40 characters: ${key}`);
        if (value.length > 500) problem(ctx, `Metadata values have at most 500 characters: ${key}`);
      }
    }),
  );

/** Applies a change to what an object has: absent leaves it, null empties it, an empty value unsets its key. */
export function changedMetadata(
  before: Record<string, string>,
  change: MetadataChange | undefined,
): Record<string, string> {
  if (change === undefined) return before;
  if (change === null) return {};
  const after = Object.fromEntries(
    Object.entries({ ...before, ...change }).filter(([, value]) => value !== ""),
  );
  if (Object.keys(after).length > MAX_METADATA_KEYS)
    throw invalidRequest(`You can have at most ${MAX_METADATA_KEYS} metadata keys.`, {
      param: "metadata",
    });
  return after;
}

const range = () =>
  z.union([
    int(),
    tree({
      gt: int().optional(),
      gte: int().optional(),
      lt: int().optional(),
      lte: int().optional(),
    }),
  ]);

export const address = () =>
  clearable(
    tree({
      line1: clearable(text()).optional(),
      line2: clearable(text()).optional(),
      city: clearable(text()).optional(),
      state: clearable(text()).optional(),
      postal_code: clearable(text()).optional(),
      country: clearable(text(2)).optional(),
    }),
  );

/** Parses a decoded form, or throws the error that Stripe would answer. */
export function parseParams<S extends z.ZodType>(schema: S, form: FormTree): z.output<S> {
  const result = schema.safeParse(form);
  if (result.success) return result.data;
  throw refusalOf(deepest(result.error.issues), form);
}

/** A union reports its branches; the branch that got furthest says what is wrong. */
function deepest(issues: readonly z.core.$ZodIssue[]): z.core.$ZodIssue[] {
  return issues.flatMap((issue) => {
    if (issue.code !== "invalid_union") return [issue];
    const branches = issue.errors.map((errors) =>
      deepest(errors).map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] })),
    );
    // A clearable's first branch is only ever the empty text.
    return branches.at(-1) ?? [issue];
  });
}

function refusalOf(issues: readonly z.core.$ZodIssue[], form: FormTree): ApiError {
  const unknown = issues.find((issue) => issue.code === "unrecognized_keys");
  if (unknown !== undefined) {
    const names = unknown.keys.map((key) => paramName([...unknown.path, key]));
    return invalidRequest(
      `Received unknown parameter${names.length > 1 ? "s" : ""}: ${names.join(", ")}. ` +
        "(This is the local stand-in: it also refuses what Stripe knows and local/stripe does not.)",
      { code: "parameter_unknown", ...(names[0] === undefined ? {} : { param: names[0] }) },
    );
  }
  const issue = issues[0];
  if (issue === undefined) return invalidRequest("Invalid request.");
  const param = paramName(issue.path);
  if (valueAt(form, issue.path) === undefined)
    return invalidRequest(`Missing required param: ${param}.`, {
      code: "parameter_missing",
      param,
    });
  const code = issue.code === "custom" ? stripeCodeOf(issue.params) : undefined;
  const message =
    code === "parameter_invalid_empty"
      ? `You passed an empty string for '${param}'. We assume empty values are an attempt to unset a ` +
        `parameter; however '${param}' cannot be unset. You should remove '${param}' from your request ` +
        "or supply a non-empty value."
      : issue.code === "custom"
        ? issue.message
        : `Invalid ${param}: ${issue.message}`;
  return invalidRequest(message, { param, ...(code === undefined ? {} : { code }) });
}

function stripeCodeOf(params: Record<string, unknown> | undefined): string | undefined {
  const code = params?.["stripeCode"];
  return typeof code === "string" ? code : undefined;
}

function valueAt(form: FormTree, path: readonly PropertyKey[]): string | FormTree | undefined {
  let value: string | FormTree | undefined = form;
  for (const part of path) {
    if (value === undefined || typeof value === "string") return undefined;
    value = value[String(part)];
  }
  return value;
}
