import type { z } from "zod";

type Read<T> = { ok: true; value: T } | { ok: false; why: string };
type Issue = z.core.$ZodIssue;

/**
 * Checks what came over the wire. Fields that a newer server added are passed over, and a word that a list of words does
 * not have is taken as it is: whoever reads a status gets it to see, and compares it with those that are known. Anything
 * else that is not as the schema says is nonsense, and told by its first place.
 */
export function readAnswer<T>(schema: z.ZodType<T>, raw: unknown): Read<T> {
  const first = schema.safeParse(raw);
  if (first.success) return { ok: true, value: first.data };
  const { issues } = first.error;
  const strange = issues.find((issue) => !isNewWord(issue, raw));
  if (strange !== undefined)
    return { ok: false, why: `${strange.path.join(".") || "the whole"}: ${strange.message}` };
  const copy = structuredClone(raw);
  for (const issue of issues)
    if (issue.code === "invalid_value") put(copy, issue.path, issue.values[0]);
  const second = schema.safeParse(copy);
  if (!second.success) return { ok: false, why: second.error.message };
  for (const { path } of issues) put(second.data, path, at(raw, path));
  return { ok: true, value: second.data };
}

/** A string where one of several others was awaited. */
const isNewWord = (issue: Issue, raw: unknown): boolean =>
  issue.code === "invalid_value" &&
  issue.values.length > 1 &&
  typeof at(raw, issue.path) === "string";

const at = (value: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>((inside, key) => Object(inside)[key], value);

function put(value: unknown, path: readonly PropertyKey[], word: unknown): void {
  const last = path.at(-1);
  if (last !== undefined) Reflect.set(Object(at(value, path.slice(0, -1))), last, word);
}
