import { chown, mkdir, rm, stat } from "node:fs/promises";
import path from "node:path";
import { DriverError, type VmRef } from "../driver.ts";
import type { LiveSockets } from "../move-calls.ts";
import { exists } from "./files.ts";
import type { KvmHost } from "./host.ts";
import { fileStem } from "./tag.ts";

/*
 * The sockets of a live move. libvirt and QEMU name them by one path at both ends: where the destination's QEMU listens, the source's
 * connects. So the folder is the same on every host, and lies where QEMU's own sockets do, which its user and the host's security
 * modules let it make.
 */

/** As the hypervisor names them; `libvirt` as this process does, whose virsh connects to it. */
export function hypervisorSockets(host: KvmHost, moved: VmRef): LiveSockets {
  const at = (name: string) => path.join(host.socketDir, `${fileStem(moved)}.${name}`);
  const sockets = {
    libvirt: path.join(host.root, at("libvirt")),
    qemu: at("qemu"),
    nbd: at("nbd"),
  };
  for (const socket of Object.values(sockets))
    // They stand in addresses; and the kernel takes no longer ones.
    if (!/^[A-Za-z0-9_./-]{1,107}$/.test(socket))
      throw new DriverError("unsupported", `not a path for a socket: ${socket}`);
  return sockets;
}

/** As this process finds them, in a folder that QEMU may use, with nothing of an earlier attempt in their places. */
export async function readySockets(
  host: KvmHost,
  end: "source" | "destination",
  moved: VmRef,
): Promise<LiveSockets> {
  const folder = path.join(host.root, host.socketDir);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const { uid, gid } = await stat(path.dirname(folder));
  await chown(folder, uid, gid);
  const sockets = await dropSockets(host, moved);
  return end === "source" ? sockets : { ...sockets, libvirt: await ownLibvirt(host.uri) };
}

/** QEMU leaves the sockets that it listened on. Answers where those of a source lie. */
export async function dropSockets(host: KvmHost, moved: VmRef): Promise<LiveSockets> {
  const { libvirt, qemu, nbd } = hypervisorSockets(host, moved);
  const here = { libvirt, qemu: path.join(host.root, qemu), nbd: path.join(host.root, nbd) };
  for (const socket of Object.values(here)) await rm(socket, { force: true });
  return here;
}

/** Of modular daemons, the one for QEMU (https://libvirt.org/daemons.html). */
const OWN = ["/run/libvirt/virtqemud-sock", "/run/libvirt/libvirt-sock"];

/** The socket that virsh uses for this address. */
async function ownLibvirt(uri: string): Promise<string> {
  const named = new URL(uri).searchParams.get("socket");
  if (named !== null) return named;
  for (const socket of OWN) if (await exists(socket)) return socket;
  throw new DriverError("hypervisor_unavailable", `libvirt has no socket at ${OWN.join(" or ")}`);
}
