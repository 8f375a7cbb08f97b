import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { readHostCpu } from "./host-cpu.ts";
import { ProgramFailed } from "./run-program.ts";

const log = { info: () => undefined, error: () => undefined };
const CAPABILITIES = "<domainCapabilities/>";
const CPU = `<cpu mode='custom' match='exact'>
  <model fallback='forbid'>EPYC</model>
  <vendor>AMD</vendor>
  <feature policy='require' name='sse4.2'/>
  <feature policy='require' name='aes'/>
  <feature policy='disable' name='rdseed'/>
</cpu>`;

/** virsh, to which every command but the one for capabilities answers this. */
function virsh(answer: () => string) {
  const asked: (readonly string[])[] = [];
  const run = async (args: readonly string[]) => {
    asked.push(args);
    if (args[0] === "domcapabilities") return CAPABILITIES;
    expect(await readFile(String(args[1]), "utf8")).toBe(CAPABILITIES);
    return answer();
  };
  return { asked, libvirt: { run, read: async () => [], readThen: async () => [] } };
}

test("a host says what its guests' processors can, by each feature's name", async () => {
  const { asked, libvirt } = virsh(() => CPU);
  expect(await readHostCpu({ libvirt, log }, "hardware")).toEqual({
    model: "EPYC",
    vendor: "AMD",
    features: ["aes", "sse4.2"],
  });
  expect(asked.map((args) => args.at(-1))).toEqual(["kvm", "kvm"]);
});

test("a libvirt that cannot tell leaves it out, and one that is away does not", async () => {
  const failed = virsh(() => {
    throw new ProgramFailed("virsh", "error: no such command", {});
  });
  expect(await readHostCpu({ libvirt: failed.libvirt, log }, "tcg")).toBeUndefined();
  const away = virsh(() => {
    throw new Error("away");
  });
  await expect(readHostCpu({ libvirt: away.libvirt, log }, "tcg")).rejects.toThrow("away");
});
