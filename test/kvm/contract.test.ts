import { driverContract } from "#test/drivers/contract.ts";
import { openKvmTestHost } from "./host.ts";
import { openGround } from "./libvirt-daemon.ts";
import { kvmMoves } from "./moved-disks.ts";
import { openLibvirtHost } from "./two-hosts.ts";

const ground = await openGround();
driverContract(
  "kvm on real libvirt",
  async () => {
    const host = await openKvmTestHost();
    const second = await openKvmTestHost({ libvirt: await openLibvirtHost("second") });
    if (!host.available || !second.available) throw new Error("no libvirt to test with");
    return {
      ...host,
      slow: true,
      moves: kvmMoves(host, second),
      close: async () => {
        await second.close();
        await host.close();
      },
    };
  },
  ground.available ? null : ground.reason,
);
