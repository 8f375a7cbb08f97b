import { expect, test } from "vitest";
import { aDesiredVm, anImage, SECRETS } from "#test/drivers/builders.ts";
import { firstBootVolume } from "./first-boot.ts";
import { seedFiles } from "./seed.ts";
import { windowsSeedFiles } from "./windows-first-boot.ts";

test("a guest that lets keys in gets NoCloud, and no password is asked for", async () => {
  const asked = () => Promise.reject(new Error("nobody needs one"));
  for (const os of ["linux", "freebsd"] as const) {
    const vm = aDesiredVm({ image: anImage({ os }) });
    expect(await firstBootVolume(vm, { administratorPassword: asked })).toEqual({
      volume: "cidata",
      files: seedFiles(vm),
    });
  }
});

test("a Windows guest gets its one password in its answer file, or no seed at all", async () => {
  const vm = aDesiredVm({ image: anImage({ os: "windows" }) });
  expect(await firstBootVolume(vm, SECRETS)).toEqual({
    volume: "config-2",
    files: windowsSeedFiles(vm, await SECRETS.administratorPassword()),
  });
  await expect(firstBootVolume(vm, undefined)).rejects.toMatchObject({ code: "unsupported" });
  const outage = { administratorPassword: () => Promise.reject(new Error("nobody there")) };
  await expect(firstBootVolume(vm, outage)).rejects.toThrow("nobody there");
});
