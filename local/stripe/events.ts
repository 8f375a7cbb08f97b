import type { Stripe } from "stripe";
import { invalidRequest } from "./api-error.ts";
import { listOperation, operation } from "./operation.ts";
import { bool, listOf, listParamsOf, paramsOf, text } from "./params.ts";
import type { Sandbox } from "./sandbox.ts";

/** The Events API goes back 30 days. */
const KEPT_SECONDS = 30 * 86_400;

/** One that still waits to be delivered stays: here a month may pass at once, while the machine was off. */
export function forgetOldEvents(sandbox: Sandbox, waits: (eventId: string) => boolean): void {
  for (const event of sandbox.store.each("event")) {
    if (event.created > sandbox.now() - KEPT_SECONDS) return;
    if (!waits(event.id)) sandbox.store.remove("event", event.id);
  }
}

/** `charge.*` names all types that begin with `charge.`. */
export const matchesType = (type: string, asked: string): boolean =>
  asked.endsWith("*") ? type.startsWith(asked.slice(0, -1)) : type === asked;

export const eventOperations = [
  operation({
    method: "GET",
    path: "/v1/events/:id",
    returns: "event",
    params: paramsOf<Stripe.EventRetrieveParams>()({}),
    run: ({ sandbox, id }) => sandbox.find("event", id),
  }),
  listOperation({
    path: "/v1/events",
    of: "event",
    params: listParamsOf<Stripe.EventListParams>()({
      type: text().optional(),
      types: listOf(text()).optional(),
      delivery_success: bool().optional(),
    }),
    keep: (params) => {
      if (params.type !== undefined && params.types !== undefined)
        throw invalidRequest("You may only specify one of these parameters: type, types.");
      const types = params.types ?? (params.type === undefined ? ["*"] : [params.type]);
      return (event) =>
        types.some((asked) => matchesType(event.type, asked)) &&
        (params.delivery_success === undefined ||
          (event.pending_webhooks === 0) === params.delivery_success);
    },
  }),
];
