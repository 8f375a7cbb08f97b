import { plain } from "./format.ts";
import { textOf, type Block, type Cell, type Column, type Tone } from "./shown.ts";
import { fit, widthsFor, type WidthOf } from "./width.ts";

/** `terminal`: for eyes, cut to its columns. `pipe`: for programs, whole, a tab between two values. */
export type Screen = Readonly<{ kind: "terminal" | "pipe"; columns: number; colour: boolean }>;

const GAP = "  ";
/** A column that is narrower than this says nothing any more. */
const LEAST = 8;

const CODES: Readonly<Record<Tone | "title", string>> = {
  good: "32",
  bad: "31",
  wait: "33",
  faint: "2",
  title: "1",
};
const painted = (text: string, tone: Tone | "title" | undefined, { colour }: Screen): string =>
  tone === undefined || !colour ? text : `\u001b[${CODES[tone]}m${text}\u001b[0m`;
const toneOf = (cell: Cell): Tone | undefined => (typeof cell === "string" ? undefined : cell.tone);

/** The blocks as they are written, with a line end at their end. */
export async function render(blocks: readonly Block[], screen: Screen): Promise<string> {
  const parts: string[] = [];
  for (const block of blocks) parts.push(`${(await linesOf(block, screen)).join("\n")}\n`);
  return parts.join("\n");
}

async function linesOf(block: Block, screen: Screen): Promise<readonly string[]> {
  if (block.kind === "table") return tableOf(block.columns, block.rows, screen);
  const title = block.title === undefined ? [] : [painted(plain(block.title), "title", screen)];
  if (block.kind === "lines") return [...title, ...block.lines.map(plain)];
  return [...title, ...(await fieldsOf(block.fields, screen))];
}

async function tableOf(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  screen: Screen,
): Promise<readonly string[]> {
  const titles = columns.map(({ title }) => title);
  const texts = rows.map((row) => row.map((cell) => plain(textOf(cell))));
  if (screen.kind === "pipe") return [titles, ...texts].map((row) => row.join("\t"));
  const widthOf = await widthsFor(texts.flat());
  const natural = titles.map((title, n) =>
    Math.max(title.length, ...texts.map((row) => widthOf(row[n] ?? ""))),
  );
  const spared = spare(natural, columns, screen.columns);
  if (spared !== undefined) {
    const without = <T>(all: readonly T[]) => all.filter((_, n) => n !== spared);
    return tableOf(without(columns), rows.map(without), screen);
  }
  const widths = fittedWidths(natural, columns, screen.columns);
  if (widths === undefined) return stacked(columns, rows, screen);
  const line = (cells: readonly string[], toneAt: (n: number) => Tone | "title" | undefined) =>
    cells
      .map((text, n) => {
        const width = widths[n] ?? 0;
        const cut = fit(text, width, widthOf);
        const space = n === cells.length - 1 ? "" : " ".repeat(width - widthOf(cut));
        return painted(cut, toneAt(n), screen) + space;
      })
      .join(GAP);
  return [
    line(titles, () => "title"),
    ...texts.map((row, y) => line(row, (n) => toneOf(rows[y]?.[n] ?? ""))),
  ];
}

const wholeOf = (widths: readonly number[]): number =>
  widths.reduce((sum, width) => sum + width, GAP.length * (widths.length - 1));

/** The last column that may be left out, where the table is too wide. */
function spare(
  natural: readonly number[],
  columns: readonly Column[],
  room: number,
): number | undefined {
  const last = columns.findLastIndex((column) => column.spare === true);
  return wholeOf(natural) > room && last >= 0 ? last : undefined;
}

/** The widest give way first; undefined when the terminal is too narrow for all columns. */
function fittedWidths(
  natural: readonly number[],
  columns: readonly Column[],
  room: number,
): readonly number[] | undefined {
  const widths = [...natural];
  const least = natural.map((width, n) => (columns[n]?.keep ? width : Math.min(width, LEAST)));
  if (wholeOf(least) > room) return undefined;
  while (wholeOf(widths) > room) {
    const spare = widths.map((width, n) => width - (least[n] ?? 0));
    const widest = widths
      .map((width, n) => ((spare[n] ?? 0) > 0 ? width : 0))
      .reduce((best, width, n, all) => (width > (all[best] ?? 0) ? n : best), 0);
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return widths;
}

/** Each row by itself, a value a line: on a terminal that is too narrow for a table. */
async function stacked(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  screen: Screen,
): Promise<readonly string[]> {
  const lines: string[] = [];
  for (const row of rows) {
    if (lines.length > 0) lines.push("");
    const fields = columns.map(({ title }, n) => [title.toLowerCase(), row[n] ?? ""] as const);
    lines.push(...(await fieldsOf(fields, screen)));
  }
  return lines;
}

/** A value a line; one that is longer than the line goes on below itself. */
async function fieldsOf(
  fields: readonly (readonly [string, Cell])[],
  screen: Screen,
): Promise<readonly string[]> {
  const read = fields.map(([label, cell]) => ({ label, cell, text: plain(textOf(cell)) }));
  if (screen.kind === "pipe") return read.map(({ label, text }) => `${label}\t${text}`);
  const widthOf = await widthsFor(read.map(({ text }) => text));
  const indent = Math.max(0, ...fields.map(([label]) => label.length)) + GAP.length;
  const room = Math.max(LEAST, screen.columns - indent);
  return read.flatMap(({ label, cell, text }) =>
    wrapped(text, room, widthOf).map(
      (part, n) =>
        painted((n === 0 ? label : "").padEnd(indent), "faint", screen) +
        painted(part, toneOf(cell), screen),
    ),
  );
}

/** By words; a word that is longer than a line is left whole, so that it can be copied. */
function wrapped(text: string, room: number, widthOf: WidthOf): readonly string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const last = lines.at(-1) ?? "";
    const joined = last === "" ? word : `${last} ${word}`;
    if (last === "" || widthOf(joined) <= room) lines[lines.length - 1] = joined;
    else lines.push(word);
  }
  return lines;
}
