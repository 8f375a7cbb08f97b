import { expect, test } from "vitest";
import { canonicalJson } from "./canonical-json.ts";

test.each([
  { value: null, text: "null" },
  { value: true, text: "true" },
  { value: false, text: "false" },
  { value: 'a "b"\n🚀', text: '"a \\"b\\"\\n🚀"' },
  { value: 0, text: "0" },
  { value: -0, text: "0" },
  { value: 1e21, text: "1e+21" },
  { value: 0.1, text: "0.1" },
  { value: [], text: "[]" },
  { value: {}, text: "{}" },
  { value: Object.assign(Object.create(null), { a: 1 }), text: '{"a":1}' },
  { value: [3, [1, 2], { b: null }], text: '[3,[1,2],{"b":null}]' },
  { value: { b: 1, a: { d: 2, c: 3 } }, text: '{"a":{"c":3,"d":2},"b":1}' },
  // By UTF-16 code unit: digits as text, capitals first, and a pair of halves before U+FB33 (RFC 8785 §3.2.3).
  { value: { 10: 1, 9: 2, a: 3, B: 4 }, text: '{"10":1,"9":2,"B":4,"a":3}' },
  { value: { "\ufb33": 1, "😀": 2, é: 3 }, text: '{"é":3,"😀":2,"\ufb33":1}' },
  // As JSON does: what is undefined is not there.
  { value: { a: undefined, b: 1 }, text: '{"b":1}' },
])("$value is $text", ({ value, text }) => {
  expect(canonicalJson(value)).toBe(text);
  expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
});

test.each([
  { value: NaN, why: "canonical JSON has only finite numbers" },
  { value: Infinity, why: "canonical JSON has only finite numbers" },
  { value: -Infinity, why: "canonical JSON has only finite numbers" },
  { value: undefined, why: "canonical JSON has no value for a undefined" },
  { value: [undefined], why: "canonical JSON has no value for a undefined" },
  { value: { a: 1n }, why: "canonical JSON has no value for a bigint" },
  { value: { at: new Date(0) }, why: "canonical JSON has only plain objects" },
  { value: new Map([["a", 1]]), why: "canonical JSON has only plain objects" },
  { value: new Error("no"), why: "canonical JSON has only plain objects" },
  { value: () => 1, why: "canonical JSON has no value for a function" },
  { value: Symbol("s"), why: "canonical JSON has no value for a symbol" },
])("$value has none", ({ value, why }) => {
  expect(() => canonicalJson(value)).toThrow(new TypeError(why));
});
