import { z } from "@hono/zod-openapi";

export const PageQuery = z.strictObject({
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(100)
    .default(25)
    .openapi({ param: { description: "How many items at most." } }),
  cursor: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,100}$/)
    .optional()
    .openapi({ param: { description: "`nextCursor` of the page before." } }),
});

/** Of a list that goes by names, or by several orders: its cursors hold a place in one of them. */
export const OrderedPageQuery = PageQuery.extend({
  cursor: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,1000}$/)
    .optional()
    .openapi({
      param: {
        description:
          "`nextCursor` of the page before, of the same order and with the same filters.",
      },
    }),
});

/** By which of these a list goes; `usual` when nothing is asked for. On the wire `name` is upwards, and `-name` downwards. */
export const sortBy = <const T extends string>(
  keys: readonly [T, ...(readonly T[])],
  usual: NoInfer<T> | `-${NoInfer<T>}`,
) =>
  z
    .string()
    .regex(new RegExp(`^-?(?:${keys.join("|")})$`))
    .default(usual)
    .openapi({
      param: {
        description: `${keys.map((key) => `\`${key}\``).join(" or ")}; with \`-\` before it, backwards.`,
      },
    })
    .transform((sort) => ({
      by: keys.find((key) => key === sort.replace(/^-/, "")) ?? keys[0],
      down: sort.startsWith("-"),
    }));

export const pageOf = <T extends z.ZodType>(name: string, item: T) =>
  z
    .object({
      items: z.array(item),
      nextCursor: z.string().nullable().openapi({
        description:
          "The `cursor` of the next page; null on the last. A page may have fewer items than asked for, or none, and not be the last.",
      }),
    })
    .openapi(name);
