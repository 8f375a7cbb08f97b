import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readFirmware } from "./firmware.ts";

describe("4b A4: the UEFI that a host has", () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(path.join(tmpdir(), "berth-firmware-"));
    await writeFile(path.join(dir, "CODE.fd"), "");
  });
  afterEach(() => rm(dir, { recursive: true }));

  const KEYS = ["secure-boot", "enrolled-keys", "requires-smm"];
  const described = async (features: readonly string[], over: object = {}) => {
    await writeFile(
      path.join(dir, `${features.length}.json`),
      JSON.stringify({
        "interface-types": ["uefi"],
        mapping: { device: "flash", executable: { filename: path.join(dir, "CODE.fd") } },
        targets: [{ architecture: "x86_64", machines: ["pc-i440fx-*", "pc-q35-*"] }],
        features,
        ...over,
      }),
    );
    return readFirmware([dir, "/nowhere"]);
  };

  test("is none where none is described, or what is described cannot be read", async () => {
    expect(await readFirmware(["/nowhere"])).toEqual({ uefi: false, secureBoot: false });
    await writeFile(path.join(dir, "broken.json"), "{");
    expect(await readFirmware([dir])).toEqual({ uefi: false, secureBoot: false });
  });

  test("checks signatures where it holds keys, and none where it checks nothing", async () => {
    expect(await described(KEYS)).toEqual({ uefi: false, secureBoot: true });
    expect(await described(["secure-boot", "requires-smm"])).toEqual({
      uefi: false,
      secureBoot: true,
    });
    expect(await described(["acpi-s3"])).toEqual({ uefi: true, secureBoot: true });
  });

  test.each([
    ["whose file is not there", { mapping: { executable: { filename: "/nowhere/CODE.fd" } } }],
    ["of another machine", { targets: [{ architecture: "x86_64", machines: ["microvm"] }] }],
    ["of another CPU", { targets: [{ architecture: "aarch64", machines: ["pc-q35-*"] }] }],
    ["that is BIOS", { "interface-types": ["bios"] }],
  ])("is not one %s", async (_, over) => {
    expect(await described(["acpi-s3"], over)).toEqual({ uefi: false, secureBoot: false });
  });
});
