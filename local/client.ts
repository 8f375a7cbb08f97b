import { z } from "zod";

/** A small client of a running stack, for the demo, the benchmark and tests: what a customer's program would do. */
export class StackClient {
  readonly apiUrl: string;
  readonly token: string;
  constructor(apiUrl: string, token: string) {
    this.apiUrl = apiUrl;
    this.token = token;
  }

  async request(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<{ status: number; body: unknown }> {
    const answer = await fetch(`${this.apiUrl}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    return { status: answer.status, body: text === "" ? null : JSON.parse(text) };
  }

  /** The answer's body; throws when the status is not a good one. */
  async ok<T extends z.ZodType>(
    schema: T,
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<z.output<T>> {
    const answer = await this.request(method, path, body, headers);
    if (answer.status >= 300)
      throw new Error(
        `${method} ${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`,
      );
    return schema.parse(answer.body);
  }

  /** Orders a VM of the first plan and image that have these names. */
  async order(what: {
    plan: string;
    image: string;
    hostname: string;
    key: string;
    sshKeys: readonly string[];
    userData?: string;
  }): Promise<{ orderId: string; checkoutUrl: string }> {
    const [planId, imageId, locationId] = await Promise.all([
      this.idOf("plans", what.plan),
      this.idOf("images", what.image),
      this.idOf("locations", undefined),
    ]);
    const placed = await this.ok(
      z.object({ order: z.object({ id: z.string() }), checkoutUrl: z.string() }),
      "POST",
      "/v1/orders",
      {
        planId,
        imageId,
        locationId,
        hostname: what.hostname,
        sshKeys: what.sshKeys,
        billingInterval: "month",
        ...(what.userData !== undefined && { userData: what.userData }),
      },
      { "idempotency-key": what.key },
    );
    return { orderId: placed.order.id, checkoutUrl: placed.checkoutUrl };
  }

  private readonly known = new Map<string, Promise<readonly { id: string; name: string }[]>>();
  private async idOf(list: string, name: string | undefined): Promise<string> {
    const items = this.known.get(list) ?? this.load(list);
    this.known.set(list, items);
    const found = (await items).find((i) => name === undefined || i.name === name);
    if (!found) throw new Error(`no ${list} named ${name}`);
    return found.id;
  }
  private async load(list: string) {
    const { items } = await this.ok(
      z.object({ items: z.array(z.object({ id: z.string(), name: z.string() })) }),
      "GET",
      `/v1/${list}`,
    );
    return items;
  }
}

/** Pays a Checkout page as a person's browser would; answers the status (303 when it went through). */
export async function payCheckout(checkoutUrl: string, card: string): Promise<number> {
  const answer = await fetch(checkoutUrl, {
    method: "POST",
    body: new URLSearchParams({ card }),
    redirect: "manual",
  });
  await answer.arrayBuffer();
  return answer.status;
}

export const EXAMPLE_SSH_KEY =
  "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKqP0kX9y0m0x9Jf5dJ0qCq0y8n3q7r5W2s1t4u6v8wx demo@berth";

/** Asks again until `look` finds something; throws when `limitMs` have passed. */
export async function until<T>(
  what: string,
  limitMs: number,
  look: () => Promise<T | undefined>,
): Promise<T> {
  const end = performance.now() + limitMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > end) throw new Error(`${what} did not happen within ${limitMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
