import type { Spans } from "#core/usage/spans.ts";

/** Spans as the text of an `int8multirange`. */
export const spansToText = (spans: Spans): string =>
  `{${spans.map(([from, to]) => `[${from},${to})`).join(",")}}`;

export const spansFromText = (text: string): Spans =>
  [...text.matchAll(/\[(\d+),(\d+)\)/g)].map(([, from, to]) => [Number(from), Number(to)]);
