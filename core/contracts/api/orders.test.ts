import { describe, expect, test } from "vitest";
import { AN_SSH_KEY } from "#test/builders.ts";
import { Hostname, PlaceOrder, SshKeys } from "./orders.ts";

const ID = "0199f0a2b3c47d5e8f90a1b2c3d4e5";
const ORDER = {
  planId: `plan_${ID}01`,
  imageId: `img_${ID}02`,
  locationId: `loc_${ID}03`,
  hostname: "web-1.example.com",
  sshKeys: [AN_SSH_KEY],
  billingInterval: "month",
};

test("a host name is taken as what is meant by it, and refused with its own code", () => {
  expect(Hostname.parse("Web-1.Bücher.example.")).toBe("web-1.xn--bcher-kva.example");
  // The code is ours, and is what a program goes by; the message is for people.
  expect(Hostname.safeParse("web_1").error?.issues).toMatchObject([
    {
      code: "custom",
      path: [],
      message: "a host name has letters, digits, hyphens and dots, 253 in all",
      params: { code: "hostname_invalid" },
    },
  ]);
});

test("keys come a line each, and what is none is refused with its own code and never shown", () => {
  expect(SshKeys.parse(`${AN_SSH_KEY}\r\n${AN_SSH_KEY}-2`)).toEqual([
    AN_SSH_KEY,
    `${AN_SSH_KEY}-2`,
  ]);
  const { error } = SshKeys.safeParse("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz");
  expect(error?.issues).toMatchObject([{ code: "custom", params: { code: "ssh_key_invalid" } }]);
  expect(error?.issues[0]?.message).toMatch(/private key/);
});

const manyKeys = (count: number) => Array.from({ length: count }, (_, n) => `${AN_SSH_KEY}-${n}`);

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
    { name: "with 33 keys", over: { sshKeys: Array.from({ length: 33 }, () => AN_SSH_KEY) } },
    { name: "with 33 keys in one", over: { sshKeys: [manyKeys(33).join("\n")] } },
    { name: "by the week", over: { billingInterval: "week" } },
    { name: "with a field that we do not know", over: { price: "0" } },
    { name: "of another kind of id", over: { planId: `vm_${ID}01` } },
    { name: "with half a character in its user data", over: { userData: "#\ud800" } },
    { name: "in an encoding that we do not know", over: { userDataEncoding: "gzip" } },
    { name: "with NUL in its user data", over: { userData: "#cloud-config\0" } },
    { name: "with a number for a name", over: { hostname: 1 } },
  ])("$name is refused", ({ over }) => {
    expect(PlaceOrder.safeParse({ ...ORDER, ...over }).success).toBe(false);
  });

  test.each([
    { name: "with 32 keys", over: { sshKeys: manyKeys(32) } },
    { name: "without a key", over: { sshKeys: [] } },
    { name: "with a password", over: { password: true } },
    { name: "by the year", over: { billingInterval: "year" } },
    { name: "with 16 KiB of user data", over: { userData: "x".repeat(16 * 1024) } },
    { name: "with user data of nothing", over: { userData: "" } },
  ])("$name is taken", ({ over }) => {
    expect(PlaceOrder.parse({ ...ORDER, ...over })).toMatchObject(over);
  });

  test("is told why its user data is refused", () => {
    const { error } = PlaceOrder.safeParse({ ...ORDER, userData: "\0" });
    expect(error?.issues).toMatchObject([
      { path: ["userData"], message: "may hold neither NUL nor half a character" },
    ]);
  });

  test("has each key once, however often and in whichever way it is given", () => {
    const sshKeys = [`${AN_SSH_KEY}\r\n`, AN_SSH_KEY.replace(" ", "\t")];
    expect(PlaceOrder.parse({ ...ORDER, sshKeys }).sshKeys).toEqual([AN_SSH_KEY]);
  });

  test("takes user data as it is, emoji and all", () => {
    const userData = "#cloud-config\n# 🚀 {{ jinja }} </script>";
    expect(PlaceOrder.parse({ ...ORDER, userData }).userData).toBe(userData);
  });
});
