/** How many columns of a terminal a text takes. */
export type WidthOf = (text: string) => number;

const ASCII = /^[\x20-\x7e]*$/;
/** Where words may be cut: between what a person sees as one character. */
const graphemes = new Intl.Segmenter();

/** Of these texts. What knows wide and joined characters is loaded only where there are some: it takes 20 ms. */
export async function widthsFor(texts: readonly string[]): Promise<WidthOf> {
  if (texts.every((text) => ASCII.test(text))) return asciiWidth;
  const { default: stringWidth } = await import("string-width");
  return (text) => (ASCII.test(text) ? text.length : stringWidth(text));
}
const asciiWidth: WidthOf = ({ length }) => length;

/** The text in that many columns at most, with `…` where something is left out; never half a character. */
export function fit(text: string, columns: number, widthOf: WidthOf): string {
  if (widthOf(text) <= columns) return text;
  let kept = "";
  for (const { segment } of graphemes.segment(text)) {
    if (widthOf(kept + segment) > columns - 1) break;
    kept += segment;
  }
  return `${kept}…`;
}
