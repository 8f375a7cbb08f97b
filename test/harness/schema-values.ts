import fc from "fast-check";
import { z } from "zod";
import type { ApiDocument, Schema } from "./api-document.ts";

/* Values made of JSON schemas: such as fit, and such as fit no longer. */

/** What the schemas cannot say: which ids are there, which password is right. */
export type Known = (schema: Schema, property: string) => readonly unknown[] | undefined;

const Numbers = z.object({
  minimum: z.number().default(-(2 ** 40)),
  maximum: z.number().default(Number.MAX_SAFE_INTEGER),
  exclusiveMinimum: z.number().optional(),
});
const Lengths = z.object({ minLength: z.int().default(0), maxLength: z.int().default(60) });
const Items = z.object({
  items: z.record(z.string(), z.unknown()),
  minItems: z.int().default(0),
  maxItems: z.int().default(3),
});
const Properties = z.object({
  properties: z.record(z.string(), z.record(z.string(), z.unknown())).default({}),
  required: z.array(z.string()).default([]),
});
const Several = z.array(z.record(z.string(), z.unknown()));

/** Values that fit the schema. `now` is what instants lie around. */
export function valuesOf(
  document: ApiDocument,
  schema: Schema,
  given: { known: Known; now: () => Date; property?: string },
): fc.Arbitrary<unknown> {
  const property = given.property ?? "";
  const named = document.resolve(schema);
  const known = given.known(named, property);
  const made = make(named);
  const either =
    known === undefined || known.length === 0
      ? made
      : fc.oneof(
          { weight: 4, arbitrary: fc.constantFrom(...known) },
          { weight: 1, arbitrary: made },
        );
  return either.filter((value) => document.fits(schema, value));

  function make(s: Schema): fc.Arbitrary<unknown> {
    const several = Several.safeParse(s["oneOf"] ?? s["anyOf"]).data;
    if (several) return fc.oneof(...several.map((one) => below(one, property)));
    if (Array.isArray(s["enum"])) return fc.constantFrom(...(s["enum"] as readonly unknown[]));
    const types = Array.isArray(s["type"]) ? s["type"].map(String) : [String(s["type"])];
    return fc.oneof(...types.map((type) => ofType(type, s)));
  }
  function below(s: Schema, name: string) {
    return valuesOf(document, s, { ...given, property: name });
  }
  function ofType(type: string, s: Schema): fc.Arbitrary<unknown> {
    switch (type) {
      case "null":
        return fc.constant(null);
      case "boolean":
        return fc.boolean();
      case "integer":
      case "number":
        return integers(s);
      case "array": {
        const { items, minItems, maxItems } = Items.parse(s);
        return fc.array(below(items, property), {
          minLength: minItems,
          maxLength: Math.min(maxItems, minItems + 2),
        });
      }
      case "object": {
        const { properties, required } = Properties.parse(s);
        const fields: Record<string, fc.Arbitrary<unknown>> = {};
        for (const [name, p] of Object.entries(properties)) fields[name] = below(p, name);
        return fc.record(fields, { requiredKeys: required });
      }
      case "string":
        return strings(s, given.now);
      default:
        throw new Error(`no values are made of a ${type}`);
    }
  }
}

function integers(s: Schema): fc.Arbitrary<number> {
  const { minimum, maximum, exclusiveMinimum } = Numbers.parse(s);
  const min = exclusiveMinimum === undefined ? minimum : exclusiveMinimum + 1;
  const small = fc.integer({
    min: Math.max(min, -3),
    max: Math.min(maximum, Math.max(min, -3) + 6),
  });
  return fc.oneof(
    { weight: 3, arbitrary: small },
    { weight: 1, arbitrary: fc.bigInt(BigInt(min), BigInt(maximum)).map(Number) },
    { weight: 1, arbitrary: fc.constantFrom(min, maximum) },
  );
}

const DAY_MS = 24 * 60 * 60_000;

function strings(s: Schema, now: () => Date): fc.Arbitrary<string> {
  const { minLength, maxLength } = Lengths.parse(s);
  const own: fc.Arbitrary<string>[] = [];
  if (typeof s["example"] === "string") own.push(fc.constant(s["example"]));
  switch (s["format"]) {
    case "date-time":
      own.push(
        fc
          .integer({ min: -40 * DAY_MS, max: 2 * DAY_MS })
          .map((ms) => new Date(+now() + ms).toISOString()),
      );
      return fc.oneof(...own);
    case "uuid":
      return fc.uuid();
    case "email":
      return fc.uuid().map((id) => `${id}@example.com`);
    case "ipv4":
      return fc.ipV4();
    case "ipv4-cidr":
      return fc
        .tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 16, max: 30 }))
        .map(([octet, bits]) => `172.${octet}.0.0/${bits}`);
    default:
  }
  if (typeof s["pattern"] === "string") {
    const matching = stringsLike(s["pattern"]);
    if (matching) own.push(matching);
  }
  // Any text: the filter of the whole schema keeps what fits.
  if (own.length < 2)
    own.push(
      texts(minLength, Math.max(minLength, Math.min(maxLength, 60)), "grapheme-ascii"),
      texts(minLength, Math.max(minLength, Math.min(maxLength, 20)), "binary"),
      fc.constant("x".repeat(Math.min(maxLength, 20_000))),
    );
  return fc.oneof(...own);
}

/** What is made of this once and then again: fast-check takes milliseconds to make ready for text, and keeps nothing of what it drew. */
function onceEach<A extends readonly (string | number)[], T>(make: (...args: A) => T) {
  const made = new Map<string, T>();
  return (...args: A): T => {
    const key = JSON.stringify(args);
    const known = made.get(key);
    if (known !== undefined) return known;
    const value = make(...args);
    made.set(key, value);
    return value;
  };
}

const texts = onceEach(
  (minLength: number, maxLength: number, unit: "grapheme-ascii" | "binary"): fc.Arbitrary<string> =>
    fc.string({ minLength, maxLength, unit }),
);

/** Undefined for a pattern that fast-check makes nothing of: look-ahead, classes by Unicode property. */
const stringsLike = onceEach((pattern: string): fc.Arbitrary<string> | undefined => {
  try {
    return fc.stringMatching(new RegExp(pattern, "u"), { size: "small" });
  } catch {
    return undefined;
  }
});

/** What may stand where something else is wanted. */
const JUNK: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  1.5,
  1e21,
  2 ** 53,
  "",
  " ",
  "a\0b",
  "half \ud800",
  "\u202eabc",
  "x".repeat(20_000),
  "' or 1=1 --",
  [],
  ["x"],
  {},
  { constructor: 1 },
];

/** The value with something in it changed, left out or added. It may still fit: ask the document. */
export function spoiledOf(value: unknown): fc.Arbitrary<unknown> {
  return fc
    .tuple(fc.nat(), fc.constantFrom("replace", "remove", "add"), fc.constantFrom(...JUNK))
    .map(([at, how, junk]) => {
      const places = placesIn(value);
      const place = places[at % places.length] ?? [];
      if (how === "add") return changed(value, [...place.slice(0, -1), "unexpected"], () => junk);
      return changed(value, place, () => (how === "remove" ? undefined : junk));
    });
}

function placesIn(value: unknown): readonly (readonly string[])[] {
  if (typeof value !== "object" || value === null) return [[]];
  const inside = Object.entries(value).flatMap(([key, inner]) =>
    placesIn(inner).map((place) => [key, ...place]),
  );
  return [[], ...inside, ...Object.keys(value).map((key) => [key])];
}

function changed(value: unknown, place: readonly string[], to: () => unknown): unknown {
  const [key, ...rest] = place;
  if (key === undefined) return to();
  if (Array.isArray(value))
    return value.map((item: unknown, n) => (String(n) === key ? changed(item, rest, to) : item));
  if (typeof value !== "object" || value === null) return value;
  const entries = new Map<string, unknown>(Object.entries(value));
  const next = changed(entries.get(key), rest, to);
  if (next === undefined) entries.delete(key);
  else entries.set(key, next);
  return Object.fromEntries(entries);
}
