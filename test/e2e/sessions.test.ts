import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { EXAMPLE_SSH_KEY, until } from "#local/client.ts";
import { LOCAL_PASSWORD, LOCAL_PEOPLE } from "#local/seed.ts";
import { orderIn, pay } from "#test/harness/customer.ts";
import { PATIENCE_MS } from "#test/harness/patience.ts";
import { openStack, type TestStack } from "#test/harness/stack.ts";

let stack: TestStack;
beforeAll(async () => {
  stack = await openStack();
});
afterAll(() => stack.close());

/** A browser, as far as the API can tell: it keeps cookies and says where its pages are from. */
function aBrowser(origin: string) {
  let cookies = new Map<string, string>();
  return {
    cookies: () => [...cookies.keys()],
    steal: () => new Map(cookies),
    put: (stolen: Map<string, string>) => {
      cookies = stolen;
    },
    send: async (
      method: string,
      path: string,
      body?: object,
      headers: Record<string, string> = {},
    ) => {
      const answer = await fetch(`${stack.apiUrl}${path}`, {
        method,
        headers: {
          origin,
          cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join("; "),
          ...(body === undefined ? {} : { "content-type": "application/json" }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      for (const cookie of answer.headers.getSetCookie()) {
        const [pair = ""] = cookie.split(";");
        const at = pair.indexOf("=");
        if (/max-age=0/i.test(cookie)) cookies.delete(pair.slice(0, at));
        else cookies.set(pair.slice(0, at), pair.slice(at + 1));
      }
      const text = await answer.text();
      const answered: Record<string, unknown> = text === "" ? {} : JSON.parse(text);
      return { status: answer.status, body: answered, setCookie: answer.headers.getSetCookie() };
    },
  };
}
/** The secret of the link that was mailed: the stack lays mail into its folder. */
async function mailedTo(email: string): Promise<string> {
  await stack.sweep();
  return until(`mail to ${email}`, PATIENCE_MS, async () => {
    const folder = path.join(stack.folder, "mail");
    const names = await readdir(folder).catch(() => []);
    const mails = await Promise.all(names.map((name) => readFile(path.join(folder, name), "utf8")));
    return mails.find((mail) => mail.includes(`To: ${email}`))?.match(/#(\S+)/)?.[1];
  });
}
const PASSWORD = "correct horse battery";
const person = () => ({ email: `${v7()}@example.com`, name: "Ada", password: PASSWORD });

const Items = z.object({ items: z.array(z.object({ id: z.string(), name: z.string() })) });
async function aRequest() {
  const idOf = async (list: string, name?: string) => {
    const answer = await fetch(`${stack.apiUrl}/v1/${list}`);
    const { items } = Items.parse(await answer.json());
    return items.find((i) => name === undefined || i.name === name)?.id;
  };
  return {
    planId: await idOf("plans", "XS"),
    imageId: await idOf("images", "Tiny Linux"),
    locationId: await idOf("locations"),
    hostname: "web-1",
    sshKeys: [EXAMPLE_SSH_KEY],
    billingInterval: "month",
  };
}

describe("a person with a browser", () => {
  test("signs up, orders a VM, pays it, and sees it run", async () => {
    const browser = aBrowser(stack.apiUrl);
    const ada = person();
    const signedUp = await browser.send("POST", "/v1/auth/sign-up/email", ada);
    expect(signedUp.status).toBe(200);
    expect(signedUp.setCookie.join()).toMatch(/HttpOnly/i);
    expect(signedUp.setCookie.join()).toMatch(/SameSite=Lax/i);
    expect(await browser.send("GET", "/v1/me")).toMatchObject({
      status: 200,
      body: { email: ada.email, role: "customer" },
    });

    const key = v7();
    const early = await browser.send("POST", "/v1/orders", await aRequest(), {
      "idempotency-key": v7(),
    });
    expect(early).toMatchObject({ status: 403, body: { code: "email_not_verified" } });
    const token = await mailedTo(ada.email);
    expect(await browser.send("POST", "/v1/auth/verify-email", { token })).toMatchObject({
      status: 200,
    });
    const placed = await browser.send("POST", "/v1/orders", await aRequest(), {
      "idempotency-key": key,
    });
    expect(placed).toMatchObject({ status: 202, body: { order: { state: "awaiting_payment" } } });
    // 4b A6: a second click, as a page that was sent again.
    const again = await browser.send("POST", "/v1/orders", await aRequest(), {
      "idempotency-key": v7(),
    });
    expect(again).toMatchObject({ status: 200, body: placed.body });
    await pay(String(placed.body["checkoutUrl"]));
    const { id } = Object(placed.body["order"]);
    await orderIn(stack.staff, String(id), "active");
    expect(await browser.send("GET", "/v1/vms")).toMatchObject({
      body: { items: [{ hostname: "web-1", orderId: id }] },
    });
  });

  // 4b A8: without a key, by a password that is shown once.
  test("orders a Linux VM without an SSH key, and is shown root's password once", async () => {
    const browser = aBrowser(stack.apiUrl);
    const ada = person();
    await browser.send("POST", "/v1/auth/sign-up/email", ada);
    const token = await mailedTo(ada.email);
    await browser.send("POST", "/v1/auth/verify-email", { token });
    const body = { ...(await aRequest()), sshKeys: [], password: true };
    const placed = await browser.send("POST", "/v1/orders", body, { "idempotency-key": v7() });
    expect(placed.status).toBe(202);
    await pay(String(placed.body["checkoutUrl"]));
    const { id } = Object(placed.body["order"]);
    const { vmId } = await orderIn(stack.staff, String(id), "active");
    const take = () => browser.send("POST", `/v1/vms/${vmId}/initial-password`);
    expect(await take()).toMatchObject({
      status: 200,
      body: { username: "root", password: expect.stringMatching(/^Vm1-/) },
    });
    expect(await take()).toMatchObject({ status: 410, body: { code: "password_already_taken" } });
  });

  test("is nobody after logging out, with the old cookie too, and somebody after logging in", async () => {
    const browser = aBrowser(stack.apiUrl);
    const ada = person();
    await browser.send("POST", "/v1/auth/sign-up/email", ada);
    const stolen = browser.steal();
    expect((await browser.send("POST", "/v1/auth/sign-out", {})).status).toBe(200);
    expect((await browser.send("GET", "/v1/me")).status).toBe(401);
    const thief = aBrowser(stack.apiUrl);
    thief.put(stolen);
    expect((await thief.send("GET", "/v1/me")).status).toBe(401);
    const { email, password } = ada;
    expect((await browser.send("POST", "/v1/auth/sign-in/email", { email, password })).status).toBe(
      200,
    );
    expect((await browser.send("GET", "/v1/me")).status).toBe(200);
  });

  test("is not logged in by a wrong password, and learns nothing about who has an account", async () => {
    const known = { email: LOCAL_PEOPLE[0].email, password: "not the password" };
    const unknown = { email: `${v7()}@example.com`, password: "not the password" };
    for (const guess of [known, unknown]) {
      const answer = await aBrowser(stack.apiUrl).send("POST", "/v1/auth/sign-in/email", guess);
      expect(answer).toMatchObject({
        status: 401,
        body: { code: "unauthenticated" },
        setCookie: [],
      });
    }
  });

  test("cannot be made to act by another site's form", async () => {
    const browser = aBrowser(stack.apiUrl);
    await browser.send("POST", "/v1/auth/sign-up/email", person());
    // What a form of another site can send without asking first: no JSON.
    const form = await browser.send("POST", "/v1/orders", await aRequest(), {
      "content-type": "text/plain",
      "idempotency-key": v7(),
      origin: "https://evil.example",
    });
    expect(form).toMatchObject({ status: 415 });
    const logOut = await browser.send(
      "POST",
      "/v1/auth/sign-out",
      {},
      { origin: "https://evil.example" },
    );
    expect(logOut.status).toBe(403);
    expect((await browser.send("GET", "/v1/me")).status).toBe(200);
  });

  test("who is staff logs in the same way, and is staff", async () => {
    const browser = aBrowser(stack.apiUrl);
    const { email } = LOCAL_PEOPLE[1];
    await browser.send("POST", "/v1/auth/sign-in/email", { email, password: LOCAL_PASSWORD });
    expect((await browser.send("GET", "/staff/v1/hosts")).status).toBe(200);
    expect((await browser.send("GET", "/v1/vms")).status).toBe(403);
    // 4b B5: a stolen password of staff's alone changes nothing.
    const location = { name: v7(), city: "Hof", country: "DE", nameservers: ["192.0.2.53"] };
    expect(await browser.send("POST", "/staff/v1/locations", location)).toMatchObject({
      status: 403,
      body: { code: "second_factor_required" },
    });
  });
});
