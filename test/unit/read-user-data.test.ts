import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { readUserData } from "#commands/orders/read-user-data.ts";

const SCRIPT = "#!/bin/sh\necho 🦊\n";
const MOST = 16 * 1024;
const base64 = (bytes: string | Buffer) => Buffer.from(bytes).toString("base64");
const encoded = (bytes: string | Buffer) =>
  readUserData({ userData: base64(bytes), userDataEncoding: "base64" });
const code = (value: string) => ({ ok: false, error: expect.objectContaining({ code: value }) });

// 4b A8
describe("user-data", () => {
  test.each([
    ["as text", { userData: SCRIPT }],
    ["as text that says so", { userData: SCRIPT, userDataEncoding: "text" as const }],
    ["in base64", { userData: base64(SCRIPT), userDataEncoding: "base64" as const }],
    [
      "in base64 of several lines",
      {
        userData: `${base64(SCRIPT)}\r\n`.replace("c", "c\n"),
        userDataEncoding: "base64" as const,
      },
    ],
    [
      "in base64 of gzip",
      { userData: base64(gzipSync(SCRIPT)), userDataEncoding: "base64" as const },
    ],
  ])("%s is what its guest gets", (_, given) => {
    expect(readUserData(given)).toEqual({ ok: true, value: SCRIPT });
  });

  test("may be left out, but not its encoding alone", () => {
    expect(readUserData({})).toEqual({ ok: true, value: null });
    expect(readUserData({ userDataEncoding: "base64" })).toEqual(code("user_data_invalid"));
  });

  test("is measured in bytes, unpacked", () => {
    const most = "é".repeat(MOST / 2);
    expect(readUserData({ userData: most })).toEqual({ ok: true, value: most });
    expect(encoded(most)).toEqual({ ok: true, value: most });
    expect(encoded(gzipSync(most))).toEqual({ ok: true, value: most });
    expect(readUserData({ userData: `${most}a` })).toEqual(code("user_data_too_large"));
    expect(encoded(`${most}a`)).toEqual(code("user_data_too_large"));
    expect(encoded(gzipSync(`${most}a`))).toEqual(code("user_data_too_large"));
    // A thousand times what is taken, in 16 KiB.
    expect(encoded(gzipSync("a".repeat(MOST * 1000)))).toEqual(code("user_data_too_large"));
  });

  test.each([
    ["what is no base64", { userData: "#cloud-config", userDataEncoding: "base64" as const }],
    ["gzip in base64 that does not say so", { userData: base64(gzipSync(SCRIPT)) }],
  ])("of %s is refused", (_, given) => {
    expect(readUserData(given)).toEqual(code("user_data_invalid"));
  });

  test.each([
    ["a damaged gzip", gzipSync(SCRIPT).subarray(0, 20)],
    ["bytes that are no text", Buffer.from([0xff, 0xfe, 0x00])],
    ["NUL", Buffer.from("a\0b")],
  ])("of %s is refused", (_, bytes) => {
    expect(encoded(bytes)).toEqual(code("user_data_invalid"));
  });
});
