import { openGround } from "./libvirt-daemon.ts";

/** Once for all files of the `kvm` project, so that no file ends the daemons under another. */
export default async function setup(): Promise<() => Promise<void>> {
  const ground = await openGround();
  if (ground.available) return ground.close;
  console.warn(`\nThe kvm tests are skipped: ${ground.reason}\n`);
  return async () => undefined;
}
