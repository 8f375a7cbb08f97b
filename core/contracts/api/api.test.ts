import { describe, expect, test } from "vitest";
import { AN_SSH_KEY } from "#test/builders.ts";
import { Hostname, PlaceOrder, SshKey } from "./orders.ts";
import { PageQuery } from "./page.ts";

const ID = "0199f0a2b3c47d5e8f90a1b2c3d4e5f6";
const ORDER = {
  planId: `plan_${ID}`,
  imageId: `img_${ID}`,
  locationId: `loc_${ID}`,
  hostname: "web-1.example.com",
  sshKeys: [AN_SSH_KEY],
  billingInterval: "month",
};

describe("a host name", () => {
  test.each([
    "a",
    "web-1",
    "web-1.example.com",
    `${"a".repeat(63)}.example`,
    "1a",
    "xn--bcher-kva.example",
  ])("%s is one", (name) => {
    expect(Hostname.safeParse(name).success).toBe(true);
  });

  test.each([
    "",
    "Web-1",
    "-web",
    "web-",
    "web..example",
    "web.example.",
    ".web",
    "web_1",
    "10.0.0.1",
    "a".repeat(64),
    `${"a.".repeat(127)}a`,
    "web 1",
    "web-1\n",
    "web\0",
    "wéb",
    "web;reboot",
    "$(reboot)",
    "<web>",
  ])("%j is none", (name) => {
    expect(Hostname.safeParse(name).success).toBe(false);
  });
});

test("a key that is none is refused with its own code", () => {
  const { error } = SshKey.safeParse("ssh-ed25519 AAAA");
  expect(error?.issues).toMatchObject([{ code: "custom", params: { code: "ssh_key_invalid" } }]);
  expect(SshKey.safeParse(`${AN_SSH_KEY} ${"c".repeat(8192)}`).success).toBe(false);
});

describe("an order", () => {
  test("names bare ids when it is taken in", () => {
    expect(PlaceOrder.parse(ORDER)).toMatchObject({
      planId: "0199f0a2-b3c4-7d5e-8f90-a1b2c3d4e5f6",
    });
  });

  test.each([
    { name: "without a key", over: { sshKeys: [] } },
    { name: "with 33 keys", over: { sshKeys: Array.from({ length: 33 }, () => AN_SSH_KEY) } },
    { name: "by the week", over: { billingInterval: "week" } },
    { name: "with a field that we do not know", over: { price: "0" } },
    { name: "of another kind of id", over: { planId: `vm_${ID}` } },
    { name: "with 16 KiB and a byte of user data", over: { userData: "x".repeat(16 * 1024 + 1) } },
    { name: "with NUL in its user data", over: { userData: "#cloud-config\0" } },
    { name: "with a number for a name", over: { hostname: 1 } },
  ])("$name is refused", ({ over }) => {
    expect(PlaceOrder.safeParse({ ...ORDER, ...over }).success).toBe(false);
  });

  test("takes user data as it is, emoji and all", () => {
    const userData = "#cloud-config\n# 🚀 {{ jinja }} </script>";
    expect(PlaceOrder.parse({ ...ORDER, userData }).userData).toBe(userData);
  });
});

test.each([
  { limit: "0" },
  { limit: "101" },
  { limit: "1e9" },
  { limit: "ten" },
  { limit: "1.5" },
  { cursor: "" },
  { cursor: "a b" },
  { page: "2" },
])("the page %o is refused", (query) => {
  expect(PageQuery.safeParse(query).success).toBe(false);
});
