/** A copy of `value` in which what stands at `path` (`nics.0.vlan`) is `to`, whatever its type; undefined takes it away. */
export function withField<T extends object>(value: T, path: string, to: unknown): T {
  const copy = structuredClone(value);
  const keys = path.split(".");
  const last = keys.pop() ?? path;
  let holder: object = copy;
  for (const key of keys) holder = Reflect.get(holder, key);
  if (to === undefined) Reflect.deleteProperty(holder, last);
  else Reflect.set(holder, last, to);
  return copy;
}
