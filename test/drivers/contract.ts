import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HostFacts } from "#core/contracts/agent/report.ts";
import { SECRETS } from "./builders.ts";
import { createContractKit, type ContractKit, type OpenedDriver } from "./contract-kit.ts";
import { movesContract } from "./contract-moves.ts";
import { powerContract } from "./contract-power.ts";
import { sizeContract } from "./contract-resize.ts";
import { safetyContract } from "./contract-safety.ts";

export type { OpenedDriver };

/** What `VmDriver` promises, checked on a real host of any kind. Every driver passes it unchanged. */
export function driverContract(
  name: string,
  open: () => Promise<OpenedDriver>,
  skip: string | null = null,
): void {
  const why = skip === null ? "" : ` (skipped: ${skip})`;
  describe.skipIf(skip !== null)(`driver contract: ${name}${why}`, () => {
    let host: OpenedDriver | null = null;
    const opened = () => {
      if (host === null) throw new Error("the host was not opened");
      return host;
    };
    beforeAll(async () => {
      host = await open();
    });
    afterAll(async () => {
      await host?.close();
    });

    const kit = createContractKit(opened);
    creationContract(kit);
    powerContract(kit);
    sizeContract(kit);
    safetyContract(kit);
    movesContract(kit);
  });
}

function creationContract(kit: ContractKit): void {
  const { order, created, started, look, code, outcome } = kit;

  test("facts fit the wire and name the same capabilities each time", async () => {
    const facts = HostFacts.parse(await kit.driver.facts());
    expect((await kit.driver.facts()).capabilities).toEqual(facts.capabilities);
  });

  test("5.6: facts give a reason for each capability that is missing, and for no other", async () => {
    const { capabilities, missing = [] } = HostFacts.parse(await kit.driver.facts());
    const { emulation: _, ...asked } = capabilities;
    const lacking = Object.entries(asked).filter(([, can]) => !can);
    expect(missing.map(({ capability }) => capability)).toEqual(lacking.map(([name]) => name));
    for (const { why } of missing) expect(why).toMatch(/\w+ \w+/);
  });

  test("4b A3: facts name the images that the host holds, with their sums", async () => {
    const { images = [] } = HostFacts.parse(await kit.driver.facts());
    const held = images.find(({ file }) => file === kit.host.image.file);
    expect(held).toMatchObject({ sha256: expect.stringMatching(/^[0-9a-f]{64}$/), changed: false });
    expect(held?.virtualBytes).toBeGreaterThan(0);
    expect(images.map(({ file }) => file)).not.toContain("no-such-image");
  });

  describe("create", () => {
    test("leaves the VM off, complete, tagged and of its ordered size", async () => {
      const vm = await created({ ownerEpoch: 3 });
      const { hotVcpus: _, ...seen } = (await look(vm)) ?? {};
      expect(seen).toEqual({
        vmId: vm.vmId,
        ownerEpoch: 3,
        power: "off",
        size: vm.size,
        limits: { bandwidthMbit: null, diskIops: null },
        complete: true,
        bootEpoch: null,
        guest: null,
        seeded: true,
      });
      await kit.driver.destroy(vm);
    });

    test("done twice makes one VM", async () => {
      const vm = await created();
      await kit.driver.create(vm);
      expect(await look(vm)).toMatchObject({ complete: true, power: "off" });
      await kit.driver.destroy(vm);
    });

    test("of a running VM changes nothing", async () => {
      const vm = await started();
      const before = await look(vm);
      await kit.driver.create(vm);
      expect(await look(vm)).toMatchObject({ power: "running", bootEpoch: before?.bootEpoch });
      await kit.driver.destroy(vm);
    });

    test("cut short goes on from where it stopped", async () => {
      const vm = order();
      for (const afterMs of [0, 5, 15, 30]) {
        await kit.driver.create(vm, AbortSignal.timeout(afterMs)).catch(() => undefined);
        const seen = await look(vm);
        expect([undefined, "off"]).toContain(seen?.power);
        expect([undefined, 1]).toContain(seen?.ownerEpoch);
      }
      await kit.driver.create(vm);
      expect(await look(vm)).toMatchObject({ complete: true, power: "off", size: vm.size });
      await kit.driver.start(vm);
      await kit.driver.destroy(vm);
    });

    test("with a signal that is aborted already makes nothing", async () => {
      const vm = order();
      expect(await outcome(kit.driver.create(vm, AbortSignal.abort()))).not.toBe("done");
      expect(await look(vm)).toBeNull();
    });

    test("of a Windows VM asks for its password once it is needed, and only then", async () => {
      const vm = order({ image: { ...kit.host.image, os: "windows" } });
      await expect(kit.driver.create(vm)).rejects.toEqual(code("unsupported"));
      const asked: string[] = [];
      const secrets = {
        administratorPassword: async () => {
          asked.push(vm.vmId);
          return "Once-0nly-Pass";
        },
      };
      await kit.driver.create(vm, undefined, secrets);
      await kit.driver.create(vm, undefined, secrets);
      expect(asked).toHaveLength(1);
      expect(await look(vm)).toMatchObject({ complete: true, seeded: true });
      await kit.driver.destroy(vm);
      await kit.created().then((linux) => kit.driver.destroy(linux));
      expect(asked).toHaveLength(1);
    });

    // 4b A8
    test("of a Linux VM that is to have a password asks for it, and makes it no more than once", async () => {
      const vm = order({ rootPassword: true });
      await expect(kit.driver.create(vm)).rejects.toEqual(code("unsupported"));
      await kit.driver.create(vm, undefined, SECRETS);
      await kit.driver.create(vm);
      expect(await look(vm)).toMatchObject({ complete: true, seeded: true });
      await kit.driver.destroy(vm);
    });

    test("whose password cannot be had fails, and goes on when it can", async () => {
      const vm = order({ image: { ...kit.host.image, os: "windows" } });
      const outage = { administratorPassword: () => Promise.reject(new Error("nobody there")) };
      await expect(kit.driver.create(vm, undefined, outage)).rejects.toThrow(/nobody there/);
      expect((await look(vm))?.complete ?? false).toBe(false);
      await kit.driver.create(vm, undefined, SECRETS);
      expect(await look(vm)).toMatchObject({ complete: true });
      await kit.driver.destroy(vm);
    });

    test("from an image the host has not is refused, and leaves nothing that runs", async () => {
      const vm = order({ image: { ...kit.host.image, file: "no-such-image" } });
      await expect(kit.driver.create(vm)).rejects.toEqual(code("image_missing"));
      expect((await look(vm))?.complete ?? false).toBe(false);
      await kit.driver.destroy(vm);
      expect(await look(vm)).toBeNull();
    });

    test("takes a customer's text as data, whatever it looks like", async () => {
      const hostile = `'"; $(reboot) \`id\` ]]><berth> & %PATH% \r\n\\`;
      const vm = await started({
        userData: `#cloud-config\n# ${hostile}\n`,
        sshKeys: [
          `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBerth ${hostile.replaceAll(/[\r\n]/g, "")}`,
        ],
      });
      expect(await look(vm)).toMatchObject({ power: "running", complete: true });
      await kit.driver.destroy(vm);
    });
  });

  describe("restore", () => {
    test("5.1: brings a VM back from the trash, or says that it cannot", async () => {
      const vm = await created();
      await kit.driver.destroy(vm);
      const can = (await kit.driver.facts()).capabilities.restoreTrash === true;
      expect(await outcome(kit.driver.restore(vm))).toBe(can ? "done" : "unsupported");
      const whole = expect.objectContaining({ complete: true, power: "off", size: vm.size });
      expect(await look(vm)).toEqual(can ? whole : null);
      // It lies there no more.
      expect(await outcome(kit.driver.restore(vm))).toBe(can ? "vm_missing" : "unsupported");
      await kit.driver.destroy(vm);
    });
  });
}
