import { z } from "zod";
import { escapeHtml } from "#core/escape-html.ts";
import { page, type Page } from "./page.ts";

/** As much of an OpenAPI document as the page shows. */
const Doc = z.object({
  info: z.object({ title: z.string(), version: z.string(), description: z.string().optional() }),
  paths: z.record(
    z.string(),
    z.record(
      z.string(),
      z.object({
        summary: z.string().optional(),
        description: z.string().optional(),
        tags: z.array(z.string()).optional(),
        "x-access": z
          .object({
            who: z.string(),
            roles: z.array(z.string()).optional(),
            scope: z.string().nullish(),
          })
          .optional(),
        requestBody: z.unknown().optional(),
        parameters: z
          .array(
            z.object({
              name: z.string(),
              in: z.string(),
              required: z.boolean().optional(),
              schema: z.unknown().optional(),
            }),
          )
          .optional(),
        responses: z.record(z.string(), z.object({ description: z.string() })).optional(),
      }),
    ),
  ),
  components: z.object({ schemas: z.record(z.string(), z.unknown()).optional() }).optional(),
});
type Operation = z.infer<typeof Doc>["paths"][string][string];

/** The OpenAPI document as one readable page, without scripts: routes by area, then schemas. */
export function docsPage(document: unknown): Page {
  const doc = Doc.parse(document);
  const byTag = new Map<string, string[]>();
  for (const [path, operations] of Object.entries(doc.paths))
    for (const [method, op] of Object.entries(operations)) {
      const tag = op.tags?.[0] ?? "Other";
      byTag.set(tag, [...(byTag.get(tag) ?? []), operationHtml(method, path, op)]);
    }
  const schemas = Object.entries(doc.components?.schemas ?? {}).map(
    ([name, schema]) =>
      `<details id="${escapeHtml(name)}"><summary><code>${escapeHtml(name)}</code></summary>${json(schema)}</details>`,
  );
  const areas = [...byTag].map(([tag, html]) => `<h2>${escapeHtml(tag)}</h2>${html.join("")}`);
  return page(
    "API",
    `<h1>${escapeHtml(doc.info.title)}</h1><p>${escapeHtml(doc.info.description ?? "")}</p>
<p>The same as data: <a href="/openapi.json">/openapi.json</a></p>${areas.join("")}<h2>Schemas</h2>${schemas.join("")}`,
  );
}

function operationHtml(method: string, path: string, op: Operation): string {
  const access = op["x-access"];
  const who = access
    ? [access.roles?.join(", ") ?? access.who.replace("_", " "), access.scope]
        .filter((part) => part !== undefined && part !== null)
        .join(" · ")
    : "";
  const parameters = (op.parameters ?? []).map(
    (p) =>
      `<tr><td><code>${escapeHtml(p.name)}</code></td><td>${escapeHtml(p.in)}${p.required ? ", required" : ""}</td></tr>`,
  );
  const responses = Object.entries(op.responses ?? {}).map(
    ([status, r]) =>
      `<tr><td class="m">${escapeHtml(status)}</td><td>${escapeHtml(r.description)}</td></tr>`,
  );
  return `<details><summary><span class="m">${escapeHtml(method.toUpperCase())} ${escapeHtml(path)}</span> — ${escapeHtml(op.summary ?? "")}</summary>
<p class="q">For: ${escapeHtml(who)}</p><p>${escapeHtml(op.description ?? "")}</p>
${parameters.length > 0 ? `<table>${parameters.join("")}</table>` : ""}
${op.requestBody === undefined ? "" : `<p>Body</p>${json(op.requestBody)}`}
<table>${responses.join("")}</table></details>`;
}

const json = (value: unknown): string =>
  `<pre><code>${escapeHtml(JSON.stringify(value, null, 2))}</code></pre>`;
