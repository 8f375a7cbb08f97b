import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { seedFiles } from "#host-agent/drivers/seed.ts";
import { aDesiredVm } from "#test/drivers/builders.ts";

const run = promisify(execFile);
const missing = await run("cloud-init", ["--version"]).then(
  () => null,
  () => "cloud-init is not installed: apt-get install cloud-init",
);

/* What Debian's own cloud-init makes of a seed's network-config, by the renderers that match by MAC alone. */
describe.skipIf(missing !== null)(
  `a seed's network in cloud-init${missing ? ` (skipped: ${missing})` : ""}`,
  () => {
    let dir: string;
    const vm = aDesiredVm();
    const [nic] = vm.nics;
    beforeAll(async () => {
      dir = await mkdtemp(path.join(tmpdir(), "berth-net-"));
      await writeFile(path.join(dir, "network-config"), seedFiles(vm)["network-config"]);
    });
    afterAll(() => rm(dir, { recursive: true }));

    const converted = async (renderer: string, file: string): Promise<string> => {
      const to = path.join(dir, renderer);
      const from = ["-p", path.join(dir, "network-config"), "-k", "yaml", "-D", "debian"];
      await run("cloud-init", ["devel", "net-convert", ...from, "-d", to, "-O", renderer]);
      return readFile(path.join(to, file), "utf8");
    };

    test("4b A4: netplan finds the NIC by its MAC, gives it its address, and does not rename it", async () => {
      const plan: unknown = parse(await converted("netplan", "etc/netplan/50-cloud-init.yaml"));
      expect(plan).toEqual({
        network: {
          version: 2,
          ethernets: {
            eth0: {
              match: { macaddress: nic?.mac },
              dhcp4: false,
              addresses: [`${nic?.ipv4.address}/24`],
              routes: [{ to: "0.0.0.0/0", via: nic?.ipv4.gateway }],
              nameservers: { addresses: vm.nameservers },
            },
          },
        },
      });
    });

    test("4b A4: NetworkManager finds it by its MAC, whatever it is called", async () => {
      const file = "etc/NetworkManager/system-connections/cloud-init-eth0.nmconnection";
      const connection = await converted("network-manager", file);
      expect(connection.toLowerCase()).toContain(`mac-address=${nic?.mac}`);
      expect(connection).toContain(`address1=${nic?.ipv4.address}/24`);
      expect(connection).not.toContain("interface-name");
    });
  },
);
