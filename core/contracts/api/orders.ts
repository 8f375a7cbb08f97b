import { z } from "@hono/zod-openapi";
import { idIn, idOut } from "#core/ids.ts";
import { Currency, MoneyView } from "#core/money.ts";
import { ORDER_STATES } from "#core/orders/order.ts";
import { TRIAL_REFUSALS } from "#core/orders/trial.ts";
import { foldHostName } from "#core/vms/host-name.ts";
import { isWholeText } from "#core/vms/seed-text.ts";
import { readSshKeys } from "#core/vms/ssh-key.ts";
import { BillingInterval } from "./catalogue.ts";
import { OrderedPageQuery, pageOf, sortBy } from "./page.ts";
import { use } from "#core/contracts/named.ts";
import { Instant } from "#core/contracts/values.ts";

/** RFC 1123 host name; other ways to write it are folded. What is none is refused with its own code. */
export const Hostname = z
  .string()
  .transform((given, context) => {
    const name = foldHostName(given);
    if (name !== undefined) return name;
    context.addIssue({
      code: "custom",
      message: "a host name has letters, digits, hyphens and dots, 253 in all",
      params: { code: "hostname_invalid" },
    });
    return z.NEVER;
  })
  .openapi({
    example: "web-1.example.com",
    description:
      "Capitals and a final dot are folded, and other scripts become their A-labels (IDNA); the order shows what it became.",
  });

/** OpenSSH public keys of kinds that sshd accepts today, a line each; what is none is refused with its own code. */
export const SshKeys = z
  .string()
  .transform((paste, context) => {
    const read = readSshKeys(paste);
    if (read.ok) return read.value;
    context.addIssue({
      code: "custom",
      message: read.error.detail,
      params: { code: read.error.code },
    });
    return z.NEVER;
  })
  .openapi({
    example:
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKqP0kX9y0m0x9Jf5dJ0qCq0y8n3q7r5W2s1t4u6v8wx ada@example",
    description: "A public key as OpenSSH has it, or several, a line each",
  });

const MOST_KEYS = 32;

export const PlaceOrder = z
  .strictObject({
    planId: idIn("plan"),
    imageId: idIn("image"),
    locationId: idIn("location"),
    hostname: Hostname,
    sshKeys: z
      .array(SshKeys)
      .max(MOST_KEYS)
      .transform((pastes) => [...new Set(pastes.flat())])
      .refine((keys) => keys.length <= MOST_KEYS, `${MOST_KEYS} keys at most`)
      .optional()
      .openapi({
        description: "A Linux guest needs one, or `password`; Windows needs none.",
      }),
    password: z
      .boolean()
      .optional()
      .openapi({
        description:
          "True: root of a Linux guest gets a password, shown once by `POST /v1/vms/{id}/initial-password`. Windows has " +
          "its administrator's in any case.",
      }),
    userData: z
      .string()
      .refine(isWholeText, "may hold neither NUL nor half a character")
      .openapi({
        pattern: "^[^\\x00\\p{Cs}]*$",
        example: "#cloud-config\npackages: [nginx]\n",
        description:
          "Given to cloud-init as it is, 16 KiB at most (`user_data_too_large`). The limit is in bytes, unpacked.",
      })
      .optional(),
    userDataEncoding: z.enum(["text", "base64"]).openapi("UserDataEncoding").optional().openapi({
      description:
        "Of `userData`: `text` unless it says otherwise; `base64` of text, or of gzip of text.",
    }),
    billingInterval: BillingInterval,
    currency: use(Currency)
      .optional()
      .openapi({
        description:
          "One that the plan is sold in. Left out: the account's own, which its first payment fixed; before that the usual one. Another " +
          "than the account's own is refused (409 `currency_fixed`).",
      }),
    paymentMethod: z.enum(["default"]).openapi("PaymentMethodChoice").optional().openapi({
      description:
        "`default`: it is charged to the card on file, without a page to pay on. Left out: it is paid on a page.",
    }),
    trial: z
      .literal(true)
      .optional()
      .openapi({
        description:
          "It begins with the trial that the plan is offered with (`trial` of `GET /v1/plans`): its page asks for a card, or for none, and " +
          "nothing is paid before that is over. One for each customer who has had nothing yet, and for each card: which is judged once the " +
          "page is complete, and then stands in `declined`. Not with `paymentMethod`: a trial begins on a page.",
      }),
    another: z
      .boolean()
      .optional()
      .openapi({
        description:
          "True: one more VM, although an order of yours for this plan and host name is open. Otherwise such an order is " +
          "answered again (200), or, when this one asks for it in another way, named (409 `order_open`).",
      }),
  })
  .openapi("PlaceOrder");
export type PlaceOrder = z.infer<typeof PlaceOrder>;

export const OrderView = z
  .object({
    id: idOut("order"),
    state: z.enum(ORDER_STATES).openapi("OrderState"),
    vmId: idOut("vm").nullable().openapi({ description: "Set once the order is paid." }),
    planId: idOut("plan"),
    planVersion: z
      .int()
      .openapi({ description: "What was on sale of the plan when it was placed: it sells that." }),
    imageId: idOut("image"),
    locationId: idOut("location"),
    hostname: z.string(),
    billingInterval: BillingInterval,
    total: MoneyView.openapi({
      description: "The list price of what is ordered, which each renewal costs too.",
    }),
    discount: MoneyView.openapi({
      description: "What is off its first payment, known once it is paid.",
    }),
    tax: MoneyView.openapi({ description: "What is added to it for tax, known once it is paid." }),
    due: MoneyView.openapi({ description: "What its first payment comes to: it may be nothing." }),
    trial: z.boolean().openapi({ description: "It begins with a trial." }),
    declined: z
      .string()
      .nullable()
      .openapi({
        description:
          "Why nothing comes of it: the code of the card's bank, or why its trial was refused: " +
          TRIAL_REFUSALS.map((code) => `\`${code}\``).join(", ") +
          ".",
      }),
    createdAt: Instant,
    expiresAt: Instant.openapi({ description: "Until when the place is held for the payment." }),
    paidAt: Instant.nullable(),
  })
  .openapi("Order");
export type OrderView = z.infer<typeof OrderView>;

export const OrderQuery = OrderedPageQuery.extend({
  accountId: idIn("account").optional(),
  state: OrderView.shape.state.optional(),
  sort: sortBy(["createdAt"], "-createdAt"),
});
export const OrderPage = pageOf(
  "OrderPage",
  z.object({ ...OrderView.shape, accountId: idOut("account") }).openapi("StaffOrder"),
);

export const PlacedOrder = z
  .object({
    order: OrderView,
    checkoutUrl: z.url().nullable().openapi({
      description:
        "The page on which it is paid, or on which the bank of the card on file asks its holder. null: it is paid.",
    }),
  })
  .openapi("PlacedOrder");
export type PlacedOrder = z.infer<typeof PlacedOrder>;
