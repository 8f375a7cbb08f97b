import { invalidRequest } from "./api-error.ts";

/** A decoded form: leaves are text, because the wire has nothing else; lists are trees with the keys 0, 1, 2. */
export type FormTree = { [key: string]: string | FormTree };

const MAX_PAIRS = 2000;
const MAX_DEPTH = 8;

/**
 * Decodes `a[b][0][c]=d` into a tree, as Stripe reads bodies and query strings. Trees have no prototype, so
 * that a name like `__proto__` is a name and nothing more.
 */
export function decodeForm(text: string): FormTree {
  const root = emptyTree();
  let pairs = 0;
  for (const [name, value] of new URLSearchParams(text)) {
    pairs += 1;
    if (pairs > MAX_PAIRS) throw invalidRequest(`A request has at most ${MAX_PAIRS} parameters.`);
    put(root, segmentsOf(name), value, name);
  }
  return root;
}

/** The same parameters give the same text, whatever their order on the wire. */
export const canonicalForm = (text: string): string =>
  [...new URLSearchParams(text)]
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .sort()
    .join("&");

/** `["a", "b", "0"]` → `a[b][0]`, as Stripe names a parameter in an error. */
export const paramName = (path: readonly PropertyKey[]): string =>
  path.map((part, index) => (index === 0 ? String(part) : `[${String(part)}]`)).join("");

const emptyTree = (): FormTree => Object.create(null);

function segmentsOf(name: string): string[] {
  const bracket = name.indexOf("[");
  if (bracket <= 0) return [name];
  const inside = name.slice(bracket);
  if (!/^(\[[^[\]]*\])+$/.test(inside)) throw invalidRequest(`Invalid parameter name: ${name}`);
  return [name.slice(0, bracket), ...inside.slice(1, -1).split("][")];
}

function put(root: FormTree, segments: readonly string[], value: string, name: string): void {
  if (segments.length > MAX_DEPTH) throw invalidRequest(`Parameters nest too deeply: ${name}`);
  let tree = root;
  for (const [depth, segment] of segments.entries()) {
    // `a[]=x` appends.
    const key = segment === "" && depth > 0 ? String(Object.keys(tree).length) : segment;
    if (depth === segments.length - 1) {
      if (tree[key] !== undefined && typeof tree[key] !== "string")
        throw invalidRequest(`Parameter given in two shapes: ${name}`, { param: name });
      tree[key] = value;
      return;
    }
    const below = tree[key] ?? emptyTree();
    if (typeof below === "string")
      throw invalidRequest(`Parameter given in two shapes: ${name}`, { param: name });
    tree[key] = below;
    tree = below;
  }
}
