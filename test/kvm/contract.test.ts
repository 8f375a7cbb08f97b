import { driverContract } from "#test/drivers/contract.ts";
import { openKvmTestHost } from "./host.ts";
import { openGround } from "./libvirt-daemon.ts";

const ground = await openGround();
driverContract(
  "kvm on real libvirt",
  async () => {
    const host = await openKvmTestHost();
    if (!host.available) throw new Error(host.reason);
    return { ...host, slow: true };
  },
  ground.available ? null : ground.reason,
);
