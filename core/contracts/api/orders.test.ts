import { describe, expect, test } from "vitest";
import { AN_SSH_KEY } from "#test/builders.ts";
import { Hostname, PlaceOrder, SshKey } from "./orders.ts";

const ID = "0199f0a2b3c47d5e8f90a1b2c3d4e5";
const ORDER = {
  planId: `plan_${ID}01`,
  imageId: `img_${ID}02`,
  locationId: `loc_${ID}03`,
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
    // 253 in all.
    `${"a.".repeat(126)}a`,
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
    `${"a.".repeat(125)}aaaa`,
    "web 1",
    "web-1\n",
    "web\0",
    "wéb",
    "web;reboot",
    "$(reboot)",
    "<web>",
  ])("%j is none", (name) => {
    // The code is ours, and is what a program goes by; the message is for people.
    expect(Hostname.safeParse(name).error?.issues).toEqual([
      {
        code: "custom",
        path: [],
        message: "a host name has letters, digits, hyphens and dots, in lower case, 253 in all",
        params: { code: "hostname_invalid" },
      },
    ]);
  });
});

test("a key that is none is refused with its own code", () => {
  const { error } = SshKey.safeParse("ssh-ed25519 AAAA");
  expect(error?.issues).toMatchObject([{ code: "custom", params: { code: "ssh_key_invalid" } }]);
  expect(SshKey.safeParse(`${AN_SSH_KEY} ${"c".repeat(8192)}`).success).toBe(false);
});

describe("an order", () => {
  test("names bare ids when it is taken in", () => {
    expect(PlaceOrder.parse(ORDER)).toEqual({
      ...ORDER,
      planId: "0199f0a2-b3c4-7d5e-8f90-a1b2c3d4e501",
      imageId: "0199f0a2-b3c4-7d5e-8f90-a1b2c3d4e502",
      locationId: "0199f0a2-b3c4-7d5e-8f90-a1b2c3d4e503",
    });
  });

  test.each([
    { name: "without a key", over: { sshKeys: [] } },
    { name: "with 33 keys", over: { sshKeys: Array.from({ length: 33 }, () => AN_SSH_KEY) } },
    { name: "by the week", over: { billingInterval: "week" } },
    { name: "with a field that we do not know", over: { price: "0" } },
    { name: "of another kind of id", over: { planId: `vm_${ID}01` } },
    { name: "with 16 KiB and a byte of user data", over: { userData: "x".repeat(16 * 1024 + 1) } },
    { name: "with NUL in its user data", over: { userData: "#cloud-config\0" } },
    { name: "with a number for a name", over: { hostname: 1 } },
  ])("$name is refused", ({ over }) => {
    expect(PlaceOrder.safeParse({ ...ORDER, ...over }).success).toBe(false);
  });

  test.each([
    { name: "with 32 keys", over: { sshKeys: Array.from({ length: 32 }, () => AN_SSH_KEY) } },
    { name: "by the year", over: { billingInterval: "year" } },
    { name: "with 16 KiB of user data", over: { userData: "x".repeat(16 * 1024) } },
    { name: "with user data of nothing", over: { userData: "" } },
  ])("$name is taken", ({ over }) => {
    expect(PlaceOrder.parse({ ...ORDER, ...over })).toMatchObject(over);
  });

  test("is told why its user data is refused", () => {
    const { error } = PlaceOrder.safeParse({ ...ORDER, userData: "\0" });
    expect(error?.issues).toMatchObject([{ path: ["userData"], message: "may not hold NUL" }]);
  });

  test("takes user data as it is, emoji and all", () => {
    const userData = "#cloud-config\n# 🚀 {{ jinja }} </script>";
    expect(PlaceOrder.parse({ ...ORDER, userData }).userData).toBe(userData);
  });
});
