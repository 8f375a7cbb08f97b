import { v7 } from "uuid";
import { z } from "zod";
import { SCOPES_OF_ROLE, type AccountPrincipal, type Role } from "#core/accounts/accounts.ts";
import { EXAMPLE_SSH_KEY, payCheckout, StackClient, until } from "#local/client.ts";
import { PATIENCE_MS } from "./patience.ts";
import { CARD } from "./stripe-in-process.ts";
import type { TestStack } from "./stack.ts";

/* What a customer does over HTTP, and waits for. */

/** A further account with a token that may do all that its role may. */
export async function aClient(stack: TestStack, role: Role): Promise<StackClient> {
  const email = `${v7()}@example.com`;
  const { accounts } = stack.deps;
  const made = await stack.logIns.createAccount({ email, name: "Eve", password: v7(), role });
  if (!made.ok) throw new Error(made.error.detail);
  const scopes = SCOPES_OF_ROLE[role];
  const { accountId } = made.value;
  const owner: AccountPrincipal = { accountId, email, name: "Eve", role, scopes, via: "session" };
  const token = await accounts.createToken(owner, { name: "e2e", scopes, expiresInSeconds: null });
  if (!token.ok) throw new Error(token.error.detail);
  return new StackClient(stack.apiUrl, token.value.secret);
}

export const Order = z.object({
  id: z.string(),
  state: z.string(),
  vmId: z.string().nullable(),
});
export const Vm = z.object({
  id: z.string(),
  status: z.string(),
  lockedBy: z.string().nullable(),
  addresses: z.array(z.string()),
});
export const Action = z.object({
  id: z.string(),
  status: z.string(),
  error: z.object({ code: z.string() }).nullable(),
});

export const order = (client: StackClient, key = v7(), hostname = "web-1") =>
  client.order({ plan: "XS", image: "Tiny Linux", hostname, key, sshKeys: [EXAMPLE_SSH_KEY] });

export async function pay(checkoutUrl: string, card: string = CARD.works): Promise<void> {
  const status = await payCheckout(checkoutUrl, card);
  if (status !== 303) throw new Error(`the payment was answered with ${status}`);
}

export const orderIn = (client: StackClient, orderId: string, state: string) =>
  until(`order ${state}`, PATIENCE_MS, async () => {
    const found = await client.ok(Order, "GET", `/v1/orders/${orderId}`);
    return found.state === state ? found : undefined;
  });

export const vmIn = (client: StackClient, vmId: string, status: string) =>
  until(`VM ${status}`, PATIENCE_MS, async () => {
    const found = await client.ok(Vm, "GET", `/v1/vms/${vmId}`);
    return found.status === status && found.lockedBy === null ? found : undefined;
  });

/** Ordered, paid, and seen by its guest. */
export async function anActiveVm(client: StackClient): Promise<{ orderId: string; vmId: string }> {
  const { orderId, checkoutUrl } = await order(client);
  await pay(checkoutUrl);
  const { vmId } = await orderIn(client, orderId, "active");
  if (vmId === null) throw new Error(`order ${orderId} has no VM`);
  return { orderId, vmId };
}

/** Asks for an action and waits for its end. */
export async function act(client: StackClient, vmId: string, type: string) {
  const { action } = await client.ok(
    z.object({ action: Action }),
    "POST",
    `/v1/vms/${vmId}/actions`,
    {
      type,
    },
  );
  return ended(client, action.id);
}

export const ended = (client: StackClient, actionId: string) =>
  until(`end of ${actionId}`, PATIENCE_MS, async () => {
    const found = await client.ok(Action, "GET", `/v1/actions/${actionId}`);
    return found.status === "running" ? undefined : found;
  });
