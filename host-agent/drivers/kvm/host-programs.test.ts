import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { DriverError } from "../driver.ts";
import { detectAccelerator } from "./accelerator.ts";
import { listBridgeRules } from "./bridge-rules.ts";
import { createVirsh, type Libvirt } from "./libvirt.ts";
import { driverErrorOf, ProgramFailed, runProgram } from "./run-program.ts";
import { emptyTrash, moveToTrash } from "./trash.ts";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), "berth-programs-"));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(dir, { recursive: true });
});
const program = async (name: string, script: string) => {
  await writeFile(path.join(dir, name), `#!/bin/sh\n${script}\n`);
  await chmod(path.join(dir, name), 0o755);
  vi.stubEnv("PATH", `${dir}:/usr/bin:/bin`);
};
const code = (value: string) => expect.objectContaining({ code: value });

describe("virsh", () => {
  test("that is not installed is an unavailable hypervisor, and says what to install", async () => {
    vi.stubEnv("PATH", dir);
    const call = createVirsh("qemu:///system").run(["list"]);
    await expect(call).rejects.toEqual(code("hypervisor_unavailable"));
    await expect(call).rejects.toThrow(/install the packages libvirt-clients/);
  });

  test("without its daemon is an unavailable hypervisor, and says what to start", async () => {
    await program("virsh", "echo 'error: failed to connect to the hypervisor' >&2; exit 1");
    const call = createVirsh("qemu:///system").run(["list"]);
    await expect(call).rejects.toEqual(code("hypervisor_unavailable"));
    await expect(call).rejects.toThrow(/start it/);
  });

  test("gets hostile words as words", async () => {
    await program("virsh", 'for word; do printf "[%s]" "$word"; done');
    const hostile = `$(id) '";\n`;
    expect(await createVirsh("qemu:///system").run(["x", hostile])).toBe(
      `[-q][-c][qemu:///system][x][${hostile}]`,
    );
  });

  test("is asked many things at once, one by one in the answer, and words that it would parse are refused", async () => {
    // Answers as virsh does: one line in, the commands' outputs with the separators between them.
    await program("virsh", `printf 'one<<next>><two/>\\n<<next>>'`);
    const virsh = createVirsh("qemu:///system");
    expect(await virsh.read([["list"], ["dumpxml", "x"]])).toEqual(["one", "<two/>\n"]);
    await expect(virsh.read([["list"]])).rejects.toEqual(code("hypervisor_unavailable"));
    await expect(virsh.read([["dumpxml", "a; destroy b"]])).rejects.toThrow(/not a plain word/);
  });
});

describe("the bridges' rules", () => {
  const refused = "echo 'RULE_DELETE failed (No such file or directory)' >&2; exit 1";
  test("are looked at again when somebody changed them meanwhile", async () => {
    await program(
      "ebtables",
      `[ -e "${dir}/seen" ] && exec echo nat; : > "${dir}/seen"; ${refused}`,
    );
    expect(await listBridgeRules()).toBe("nat\n");
  });

  test("that ebtables always refuses to tell are its failure", async () => {
    await program("ebtables", refused);
    await expect(listBridgeRules()).rejects.toBeInstanceOf(ProgramFailed);
  });
});

describe("a program", () => {
  test("that does not end is ended, and said to have timed out", async () => {
    await expect(runProgram("sleep", ["60"], { timeoutMs: 50 })).rejects.toEqual(code("timed_out"));
  });

  test("ends with the caller's own reason when the caller gives up", async () => {
    const reason = new Error("the agent stops");
    const giveUp = new AbortController();
    const call = runProgram("sleep", ["60"], { signal: giveUp.signal });
    giveUp.abort(reason);
    await expect(call).rejects.toBe(reason);
  });

  test("that finds no room is out of disk; any other failure is the driver's, with its cause", () => {
    const full = new ProgramFailed("qemu-img", "x: No space left on device", {});
    expect(driverErrorOf(full)).toMatchObject({ code: "out_of_disk", cause: full });
    const other = new ProgramFailed("qemu-img", "x", {});
    expect(driverErrorOf(other)).toMatchObject({ code: "driver_failed", cause: other });
  });
});

describe("the accelerator", () => {
  const libvirt = (answer: () => Promise<string>): Libvirt => ({
    run: answer,
    read: async () => [],
    readThen: async () => [],
  });
  const flags = (text: string) => async () => `processor : 0\nflags\t\t: fpu ${text} sse\n`;

  test("is emulation where the CPU shows no virtualisation, whatever libvirt offers", async () => {
    const offers = libvirt(async () => "<domainCapabilities/>");
    expect(await detectAccelerator(offers, undefined, flags("vmx_other"))).toBe("tcg");
    expect(await detectAccelerator(offers, undefined, flags("vmx"))).toBe("hardware");
    expect(await detectAccelerator(offers, undefined, flags("svm"))).toBe("hardware");
  });

  test("is emulation where libvirt refuses KVM, and unknown where it does not answer", async () => {
    const refuses = libvirt(() => Promise.reject(new ProgramFailed("virsh", "no KVM", {})));
    expect(await detectAccelerator(refuses, undefined, flags("vmx"))).toBe("tcg");
    const silent = libvirt(() => Promise.reject(new DriverError("timed_out", "…")));
    await expect(detectAccelerator(silent, undefined, flags("vmx"))).rejects.toEqual(
      code("timed_out"),
    );
  });
});

describe("the trash", () => {
  const ref = { vmId: "0190f000-0000-7000-8000-000000000001", ownerEpoch: 1 };
  const at = (minute: number) => new Date(Date.UTC(2026, 10, 23, 12, minute));

  test("keeps what is younger, deletes what is older, and touches nothing else", async () => {
    const trash = path.join(dir, "trash");
    await mkdir(path.join(trash, "20200101T000000000Z_somebody's"), { recursive: true });
    for (const minute of [1, 2]) {
      const disk = path.join(dir, `disk.qcow2`);
      await writeFile(disk, String(minute));
      await moveToTrash(trash, ref, [disk, path.join(dir, "gone.iso")], "<domain/>", at(minute));
    }
    expect(await emptyTrash(trash, at(1))).toBe(0);
    expect(await emptyTrash(trash, at(2))).toBe(1);
    expect(await emptyTrash(trash, at(2))).toBe(0);
    const kept = await readdir(trash);
    expect(kept).toHaveLength(2);
    expect(kept).toContain("20200101T000000000Z_somebody's");
  });
});
