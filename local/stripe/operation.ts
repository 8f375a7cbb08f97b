import type { z } from "zod";
import { invalidRequest, noSuchReference } from "./api-error.ts";
import { expanded, readExpansions } from "./expand.ts";
import type { FormTree } from "./form.ts";
import { parseParams } from "./params.ts";
import type { Sandbox } from "./sandbox.ts";
import type { Kind, Objects } from "./store.ts";

type Method = "GET" | "POST" | "DELETE";
type Expandable = { expand?: string[] | undefined };
type Paging = Expandable & {
  limit?: number | undefined;
  starting_after?: string | undefined;
  ending_before?: string | undefined;
  created?:
    | number
    | {
        gt?: number | undefined;
        gte?: number | undefined;
        lt?: number | undefined;
        lte?: number | undefined;
      }
    | undefined;
};

/** One call of the API. `prepare` refuses bad parameters; the function that it returns does the work. */
export type Operation = Readonly<{
  method: Method;
  path: string;
  prepare: (sandbox: Sandbox, id: string, form: FormTree) => () => object;
}>;

export function operation<P extends Expandable>(call: {
  method: Method;
  path: string;
  /** What kind it answers with: says what may be expanded. */
  returns: Kind;
  params: z.ZodType<P>;
  run: (call: { sandbox: Sandbox; id: string; params: P }) => object;
}): Operation {
  return {
    method: call.method,
    path: call.path,
    prepare: (sandbox, id, form) => {
      const params = parseParams(call.params, form);
      const expansions = readExpansions(params.expand ?? [], call.returns, false);
      return () => expanded(sandbox, call.run({ sandbox, id, params }), expansions);
    },
  };
}

/** A list of all objects of a kind that `keep` keeps, newest first, a page at a time. */
export function listOperation<K extends Kind, P extends Paging>(call: {
  path: string;
  of: K;
  params: z.ZodType<P>;
  keep: (params: P, id: string) => (object: Objects[K]) => boolean;
}): Operation {
  return {
    method: "GET",
    path: call.path,
    prepare: (sandbox, id, form) => {
      const params = parseParams(call.params, form);
      const expansions = readExpansions(params.expand ?? [], call.of, true);
      return () => {
        const keep = call.keep(params, id);
        const matching = sandbox.store
          .all(call.of)
          .filter((object) => keep(object) && wasCreatedIn(object, params.created))
          .toReversed();
        const { data, hasMore } = pageOf(matching, params, (cursor, param) => {
          if (sandbox.store.get(call.of, cursor) === undefined)
            throw noSuchReference(call.of.replace("_", "."), cursor, param);
        });
        return {
          object: "list",
          data: data.map((object) => expanded(sandbox, object, expansions)),
          has_more: hasMore,
          url: call.path.replace(":id", id),
        };
      };
    },
  };
}

const DEFAULT_LIMIT = 10;

/** The page that `starting_after` or `ending_before` asks for. */
export function pageOf<T extends { id: string }>(
  items: readonly T[],
  params: Paging,
  checkCursor: (cursor: string, param: string) => void,
): { data: T[]; hasMore: boolean } {
  const { starting_after: after, ending_before: before, limit = DEFAULT_LIMIT } = params;
  if (after !== undefined && before !== undefined)
    throw invalidRequest(
      "You cannot parameterize ending_before and starting_after at the same time.",
    );
  const place = (cursor: string, param: string): number => {
    checkCursor(cursor, param);
    const index = items.findIndex((item) => item.id === cursor);
    if (index < 0) throw noSuchReference("object in this list", cursor, param);
    return index;
  };
  if (before !== undefined) {
    const end = place(before, "ending_before");
    const start = Math.max(0, end - limit);
    return { data: items.slice(start, end), hasMore: start > 0 };
  }
  const start = after === undefined ? 0 : place(after, "starting_after") + 1;
  return { data: items.slice(start, start + limit), hasMore: start + limit < items.length };
}

function wasCreatedIn(object: object, range: Paging["created"]): boolean {
  if (range === undefined) return true;
  const created = "created" in object ? object.created : undefined;
  if (typeof created !== "number") return false;
  if (typeof range === "number") return created === range;
  return (
    (range.gt === undefined || created > range.gt) &&
    (range.gte === undefined || created >= range.gte) &&
    (range.lt === undefined || created < range.lt) &&
    (range.lte === undefined || created <= range.lte)
  );
}
