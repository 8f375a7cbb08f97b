import path from "node:path";

/**
 * Where a file stands in the repository, with `/`. A planted violation stands under `__lint__/<case>/`: the part
 * after the case is its place.
 */
export function placeOf(filename) {
  const parts = path.relative(process.cwd(), filename).split(path.sep);
  const at = parts.lastIndexOf("__lint__");
  return (at >= 0 ? parts.slice(at + 2) : parts).join("/");
}
