const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};
/** Text as HTML shows it. */
export const escapeHtml = (text: string): string =>
  text.replaceAll(/[&<>"']/g, (c) => ESCAPES[c] ?? c);

/** A whole small page. `bodyHtml` is markup: everything that came from elsewhere in it must be escaped. */
export const page = (title: string, bodyHtml: string): string => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escapeHtml(title)} · Berth</title>
<style>
body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}
code,.m{font-family:ui-monospace,monospace;font-size:.9em}.m{font-weight:600}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25rem .75rem .25rem 0;vertical-align:top}
details{border-top:1px solid #ddd;padding:.5rem 0}summary{cursor:pointer}h2{margin-top:2.5rem}.q{color:#555}
@media(prefers-color-scheme:dark){body{background:#161616;color:#e8e8e8}.q{color:#aaa}details{border-color:#333}}
</style></head><body>${bodyHtml}</body></html>
`;
