import { z } from "@hono/zod-openapi";
import { CLOCK_PATTERN } from "#core/contracts/values.ts";

/*
 * The HTTP surface for customers, staff and integrations, a file an area. Requests are strict; a bigint travels as a
 * string. Each enum and each nested object has a name, under which the OpenAPI document and clients made of it know it.
 */

export const Count = z.string().regex(/^\d+$/).openapi({ example: "1048576" });

/** A short text for people, without control characters and halves of characters: no database keeps those. */
export const Label = (max: number) =>
  z
    .string()
    .trim()
    .min(1)
    .max(max)
    .refine(
      (text) => text.isWellFormed() && !/\p{Cc}/u.test(text),
      "may hold no control characters",
    )
    // The same as a pattern that takes no longer for a longer text: once the spaces in front are passed, each
    // character is looked at once.
    .openapi({ pattern: "^\\s*[^\\s\\p{Cc}\\p{Cs}][^\\p{Cc}\\p{Cs}]*$" });

/** More than any machine has, and what an integer column holds. */
export const MOST_COUNT = 2 ** 30;

/** An instant that a query may name: a year that every part of us can write. */
export const QueryInstant = z.iso
  .datetime()
  .refine((text) => Date.parse(text) >= 0, "may not lie before 1970")
  .openapi({
    pattern: `^(?:19[7-9][0-9]|[2-9][0-9]{3})-[0-9]{2}-[0-9]{2}T${CLOCK_PATTERN}(?:\\.[0-9]+)?Z$`,
    example: "2026-03-01T12:00:00Z",
  });
