import path from "node:path";

/** The place that an import leads to; undefined for a package. */
export function targetOf(specifier, place) {
  if (specifier.startsWith("#")) return specifier.slice(1);
  if (specifier.startsWith("."))
    return path.posix.normalize(path.posix.join(path.posix.dirname(place), specifier));
  return undefined;
}

/** Calls `check(node, specifier)` for everything that a file imports, in whatever way. */
export function eachImport(check) {
  const of = (node, source) => {
    if (typeof source?.value === "string") check(node, source.value);
  };
  const bySource = (node) => of(node, node.source);
  return {
    ImportDeclaration: bySource,
    ExportNamedDeclaration: bySource,
    ExportAllDeclaration: bySource,
    ImportExpression: bySource,
    TSImportType: bySource,
    CallExpression(node) {
      if (node.callee.type === "Identifier" && node.callee.name === "require")
        of(node, node.arguments[0]);
    },
  };
}
