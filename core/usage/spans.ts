/** Whole numbers, as disjoint ranges [from, to) in rising order that do not touch. */
export type Spans = readonly Span[];
export type Span = readonly [from: number, to: number];

/**
 * So many are kept. Who leaves more gaps than that (no honest host leaves any) has the oldest closed: nothing that comes
 * late for it is taken any more, and what is remembered of a VM stays small.
 */
const MOST_SPANS = 64;

export const covers = (spans: Spans, [from, to]: Span): boolean =>
  spans.some(([begin, end]) => begin <= from && to <= end);

export const overlaps = (spans: Spans, [from, to]: Span): boolean =>
  spans.some(([begin, end]) => begin < to && from < end);

/** The first number past all of them. */
export const endOf = (spans: Spans): number | undefined => spans.at(-1)?.[1];

export function addSpan(spans: Spans, [from, to]: Span): Spans {
  const before = spans.filter(([, end]) => end < from);
  const after = spans.filter(([begin]) => begin > to);
  const touching = spans.slice(before.length, spans.length - after.length);
  const joined: Span = [
    Math.min(from, ...touching.map(([begin]) => begin)),
    Math.max(to, ...touching.map(([, end]) => end)),
  ];
  const all = [...before, joined, ...after];
  const [first, second] = all;
  return all.length > MOST_SPANS && first && second
    ? [[first[0], second[1]], ...all.slice(2)]
    : all;
}
