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

export const pageOf = <T extends z.ZodType>(name: string, item: T) =>
  z
    .object({
      items: z.array(item),
      nextCursor: z
        .string()
        .nullable()
        .openapi({ description: "The `cursor` of the next page; null on the last." }),
    })
    .openapi(name);
