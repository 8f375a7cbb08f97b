/** A field that no program of today knows. */
const FIELD = "ofALaterPart";

function add(value: unknown): void {
  if (typeof value !== "object" || value === null || value instanceof Date) return;
  for (const inner of Object.values(value)) add(inner);
  if (!Array.isArray(value)) Reflect.set(value, FIELD, { more: [1, null, { deep: true }] });
}

/** A copy that has a field more in every object, as the messages of a later part will. */
export function oneFieldMore<T>(value: T): T {
  const copy = structuredClone(value);
  add(copy);
  return copy;
}

/** A module whose every function answers with a field more in every object: as the next part's developer would change it. */
export function answeringMore<M extends object>(module: M): M {
  const wrapped = Object.entries(module).map(([name, value]: [string, unknown]) => {
    if (typeof value !== "function") return [name, value];
    const answering = (...args: unknown[]): unknown => {
      const answer: unknown = Reflect.apply(value, undefined, args);
      return answer instanceof Promise ? answer.then(oneFieldMore) : oneFieldMore(answer);
    };
    return [name, answering];
  });
  return Object.assign({ ...module }, Object.fromEntries(wrapped));
}
