import { createHash } from "node:crypto";
import type { Context } from "hono";
import { escapeHtml } from "#core/escape-html.ts";

const STYLE = `
body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}
code,.m{font-family:ui-monospace,monospace;font-size:.9em}.m{font-weight:600}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25rem .75rem .25rem 0;vertical-align:top}
details{border-top:1px solid #ddd;padding:.5rem 0}summary{cursor:pointer}h2{margin-top:2.5rem}.q{color:#555}
@media(prefers-color-scheme:dark){body{background:#161616;color:#e8e8e8}.q{color:#aaa}details{border-color:#333}}
`;

const sourceOf = (text: string): string =>
  `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

/** A page, and what a browser may do with it: run its own script and no other, speak to us alone, send no form. */
export type Page = Readonly<{ html: string; policy: string }>;

/** A whole small page. `bodyHtml` is markup: everything that came from elsewhere in it must be escaped. */
export const page = (title: string, bodyHtml: string, script?: string): Page => ({
  html: `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escapeHtml(title)} · Berth</title>
<style>${STYLE}</style></head><body>${bodyHtml}${script === undefined ? "" : `<script>${script}</script>`}</body></html>
`,
  policy: [
    "default-src 'none'",
    `style-src ${sourceOf(STYLE)}`,
    ...(script === undefined ? [] : [`script-src ${sourceOf(script)}`, "connect-src 'self'"]),
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; "),
});

export function showPage(c: Context, { html, policy }: Page): Response {
  c.header("content-security-policy", policy);
  return c.body(html, 200, { "content-type": "text/html; charset=UTF-8" });
}
