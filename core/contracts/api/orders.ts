import { z } from "@hono/zod-openapi";
import { idIn, idOut } from "#core/ids.ts";
import { MoneyView } from "#core/money.ts";
import { ORDER_STATES } from "#core/orders/order.ts";
import { whyNoSshKey } from "#core/vms/ssh-key.ts";
import { BillingInterval } from "./catalogue.ts";
import { Instant } from "#core/contracts/values.ts";

const HOSTNAME =
  /^(?=.*[a-z])[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/;

const MOST_HOSTNAME = 253;

/** RFC 1123 host name, lower case, with at least one letter: what a guest can be called. Refused with its own code. */
export const Hostname = z
  .string()
  .refine((name) => name.length <= MOST_HOSTNAME && HOSTNAME.test(name), {
    message: "a host name has letters, digits, hyphens and dots, in lower case, 253 in all",
    params: { code: "hostname_invalid" },
  })
  .openapi({
    example: "web-1.example.com",
    maxLength: MOST_HOSTNAME,
    pattern: HOSTNAME.source,
  });

/** An OpenSSH public key of a kind that sshd accepts today; one that is none is refused with its own code. */
export const SshKey = z
  .string()
  .max(8192)
  .superRefine((line, context) => {
    const why = whyNoSshKey(line);
    if (why !== undefined)
      context.addIssue({ code: "custom", message: why, params: { code: "ssh_key_invalid" } });
  })
  .openapi({
    example:
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKqP0kX9y0m0x9Jf5dJ0qCq0y8n3q7r5W2s1t4u6v8wx ada@example",
  });

export const PlaceOrder = z
  .strictObject({
    planId: idIn("plan"),
    imageId: idIn("image"),
    locationId: idIn("location"),
    hostname: Hostname,
    sshKeys: z.array(SshKey).min(1).max(32),
    /** Given to cloud-init as it is. */
    userData: z
      .string()
      .max(16 * 1024)
      .refine((text) => !text.includes("\0"), "may not hold NUL")
      .openapi({ pattern: "^[^\\x00]*$", example: "#cloud-config\npackages: [nginx]\n" })
      .optional(),
    billingInterval: BillingInterval,
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
    imageId: idOut("image"),
    locationId: idOut("location"),
    hostname: z.string(),
    billingInterval: BillingInterval,
    total: MoneyView,
    createdAt: Instant,
    expiresAt: Instant.openapi({ description: "Until when the place is held for the payment." }),
    paidAt: Instant.nullable(),
  })
  .openapi("Order");
export type OrderView = z.infer<typeof OrderView>;

export const PlacedOrder = z
  .object({ order: OrderView, checkoutUrl: z.url() })
  .openapi("PlacedOrder");
export type PlacedOrder = z.infer<typeof PlacedOrder>;
