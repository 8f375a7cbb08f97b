import { z } from "@hono/zod-openapi";
import { FOUND_KINDS, MATCHES } from "#core/accounts/read-search.ts";
import { idOut } from "#core/ids.ts";

const LIKE_A_TEXT = "^\\s*[^\\s\\p{Cc}\\p{Cs}][^\\p{Cc}\\p{Cs}]*$";

export const SearchQuery = z.strictObject({
  q: z
    .string()
    .trim()
    .min(1)
    .max(200)
    .refine(
      (text) => text.isWellFormed() && !/\p{Cc}/u.test(text),
      "may hold no control characters",
    )
    .openapi({
      pattern: LIKE_A_TEXT,
      param: {
        description:
          "An id of an account, a VM, an order, an invoice or a host; one of Stripe's (`cs_`, `sub_`, `in_`, `cus_`); a VM's " +
          "address; or what a host name, a label, an e-mail address, a person's or a host's name or an invoice's number begins with.",
      },
    }),
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(25)
    .default(10)
    .openapi({ param: { description: "How many of a kind at most." } }),
});

export const FoundView = z
  .object({
    kind: z.enum(FOUND_KINDS).openapi("FoundKind"),
    id: z.string(),
    title: z.string().openapi({ description: "What people call it." }),
    matched: z.enum(MATCHES).openapi("FoundBy", { description: "By what it was found." }),
    accountId: idOut("account").nullable().openapi({ description: "Whose it is." }),
    gone: z.boolean().openapi({
      description: "A VM that was deleted, an account that is closed, a host that is retired.",
    }),
    link: z
      .string()
      .openapi({ description: "Where the API shows it.", example: "/staff/v1/vms/vm_…" }),
  })
  .openapi("Found");
export type FoundView = z.infer<typeof FoundView>;

export const SearchResult = z
  .object({
    items: z.array(FoundView).openapi({ description: "By kind, of each in order of their names." }),
    more: z.boolean().openapi({ description: "There are others: ask for more, or more exactly." }),
  })
  .openapi("SearchResult");
