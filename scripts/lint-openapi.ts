/**
 * Lints docs/openapi.json (or the file that is named) with all of Redocly's recommended rules, warnings too, and for
 * what generators of clients trip over: a nested object or enum without a name of its own, and two names that are one
 * in Go. Reads nothing else: no `redocly.yaml`, no list of what to ignore.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import { createConfig, lintFromString } from "@redocly/openapi-core";
import { z } from "zod";

const file = path.resolve(
  process.argv[2] ?? path.resolve(import.meta.dirname, "../docs/openapi.json"),
);
const source = readFileSync(file, "utf8");

async function redoclyFinds(text: string): Promise<string[]> {
  const config = await createConfig({ extends: ["recommended"] });
  const problems = await lintFromString({ source: text, absoluteRef: file, config });
  return problems.map(
    (p) => `${p.location[0]?.pointer ?? "#"}: ${p.message} (${p.ruleId}, ${p.severity})`,
  );
}

/** What oapi-codegen and ogen add to an operation's name to name its types. */
const KINDS = [
  "Params",
  "RequestBody",
  "JSONRequestBody",
  "Request",
  "Req",
  "Response",
  "Res",
  "OK",
];

/** What a client's generator makes types, constants and functions of, each with the name that it gets in Go. */
function namesFind(document: unknown): string[] {
  const Doc = z.object({
    paths: z.record(z.string(), z.record(z.string(), z.looseObject({ operationId: z.string() }))),
    components: z.object({ schemas: z.record(z.string(), z.unknown()) }),
  });
  const { paths, components } = Doc.parse(document);
  const said: string[] = [];
  const places = new Map<string, string>();
  const claim = (parts: readonly string[], place: string) => {
    const name = parts.map(inGo).join("");
    const other = places.get(name);
    if (other !== undefined) said.push(`${place}: in Go it is ${name}, as is ${other} (go-names)`);
    places.set(name, place);
  };
  for (const [name, schema] of Object.entries(components.schemas)) {
    claim([name], `#/components/schemas/${name}`);
    for (const value of enumOf(schema))
      claim([name, value], `#/components/schemas/${name}/enum/${value}`);
    said.push(...inlineIn(schema, `#/components/schemas/${name}`));
  }
  for (const [at, item] of Object.entries(paths))
    for (const [method, operation] of Object.entries(item)) {
      const { operationId } = operation;
      const place = `#/paths/${at.replaceAll("/", "~1")}/${method}`;
      for (const kind of KINDS) claim([operationId, kind], place);
      said.push(...inlineIn(operation, place));
    }
  return said;
}

const inGo = (name: string): string =>
  name
    .split(/[^A-Za-z0-9]+/)
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join("");

const Enum = z.object({ type: z.literal("string"), enum: z.array(z.string()) });
const enumOf = (schema: unknown): readonly string[] => Enum.safeParse(schema).data?.enum ?? [];
const AnObject = z.object({ type: z.literal("object"), properties: z.looseObject({}) });

/** The objects and enums below a schema that have no name, and would get one made of where they stand. */
function inlineIn(schema: unknown, at: string): string[] {
  if (typeof schema !== "object" || schema === null) return [];
  return Object.entries(schema).flatMap(([key, value]) => {
    const here = `${at}/${key}`;
    const inline = enumOf(value).length > 0 || AnObject.safeParse(value).success;
    return [
      ...(inline ? [`${here}: it has no name of its own (inline-schema)`] : []),
      ...inlineIn(value, here),
    ];
  });
}

const found = [...(await redoclyFinds(source)), ...namesFind(JSON.parse(source))];
for (const line of found) process.stderr.write(`${line}\n`);
process.exitCode = found.length === 0 ? 0 : 1;
