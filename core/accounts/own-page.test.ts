import { expect, test } from "vitest";
import { isOwnPage } from "./own-page.ts";

test.each([
  { url: "https://berth.example/account?x=1#y", own: true },
  { url: "https://berth.example:443/", own: true },
  { url: "http://berth.example/", own: false },
  { url: "https://berth.example:8443/", own: false },
  { url: "https://berth.example.evil.example/", own: false },
  { url: "https://berth.example@evil.example/", own: false },
  { url: "//berth.example/", own: false },
  { url: "javascript:alert(1)", own: false },
  { url: "", own: false },
])("$url is a page of ours: $own", ({ url, own }) => {
  expect(isOwnPage(url, "https://berth.example")).toBe(own);
});
