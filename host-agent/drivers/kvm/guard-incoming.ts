import type { Transform } from "node:stream";
import { DriverError } from "../driver.ts";
import type { LiveSockets, LiveTarget } from "../move-calls.ts";
import { checkIncoming, domainInCookie } from "./incoming-xml.ts";
import { type LibvirtFrame, libvirtGuard, xdrReader } from "./libvirt-frames.ts";

/*
 * A source of a live move is let in to this host's libvirt, where it would be root. It may do what `virsh migrate` does of the
 * destination, as far as that makes the one VM that this host has said it takes.
 */

const PROGRAM = { remote: 0x2000_8086, keepalive: 0x6b65_6570 } as const;
const CALL = 0;
const MESSAGE = 2;
/** Of the remote protocol (libvirt, src/remote/remote_protocol.x): all that virsh asks of the destination, as seen with libvirt 9. */
const OPEN = 1;
const CLOSE = 2;
const SUPPORTS_FEATURE = 60;
const AUTH_LIST = 66;
const PREPARE = 303;
const FINISH = 306;
const HARMLESS: ReadonlySet<number> = new Set([CLOSE, SUPPORTS_FEATURE, AUTH_LIST]);

export type Incoming = Readonly<{
  target: LiveTarget;
  /** Where this host's hypervisor is to listen, and nowhere else. */
  sockets: Pick<LiveSockets, "qemu" | "nbd">;
}>;

/** What the source's virsh says goes through it. Ends with `unsupported` at the first thing that it need not say. */
export const guardIncoming = (incoming: Incoming): Transform =>
  libvirtGuard((frame) => refuseOther(frame, incoming));

function refuseOther({ program, procedure, type, body }: LibvirtFrame, incoming: Incoming): void {
  if (program === PROGRAM.keepalive && type === MESSAGE) return;
  if (program !== PROGRAM.remote || type !== CALL) throw refused(program, procedure, type);
  if (HARMLESS.has(procedure)) return;
  switch (procedure) {
    case OPEN:
      return refuseOtherDriver(body);
    case PREPARE:
    case FINISH:
      return refuseOtherVm(body, incoming);
    default:
      throw refused(program, procedure, type);
  }
}

const refused = (program: number, procedure: number, type: number) =>
  new DriverError(
    "unsupported",
    `a move has no use for libvirt's procedure ${procedure} of ${program.toString(16)} (type ${type})`,
  );

/** A name that may be left out, which an XDR pointer says. */
function refuseOtherDriver(body: Buffer): void {
  const reader = xdrReader(body);
  const name = reader.word() === 0 ? null : reader.text();
  if (name !== "qemu:///system")
    throw new DriverError("unsupported", `libvirt is opened as ${name}`);
}

/** Both take parameters, and then the cookie, in which the source's libvirt says what is to be defined for good. */
function refuseOtherVm(body: Buffer, { target: { definition }, sockets }: Incoming): void {
  const reader = xdrReader(body);
  for (const [name, value] of reader.typedTexts())
    switch (name) {
      case "destination_xml":
        checkIncoming(value, definition);
        break;
      case "persistent_xml":
        mustBe(name, value, definition);
        break;
      case "migrate_uri":
        mustBe(name, value, `unix://${sockets.qemu}`);
        break;
      case "disks_uri":
        mustBe(name, value, `unix://${sockets.nbd}`);
        break;
      case "destination_name":
        // The name that stands in the definition, which is looked at as well.
        break;
      default:
        throw new DriverError("unsupported", `a move has no use for libvirt's parameter ${name}`);
    }
  const lasting = domainInCookie(reader.bytes().toString());
  if (lasting !== null) checkIncoming(lasting, definition);
}

function mustBe(name: string, value: string, wanted: string): void {
  if (value !== wanted)
    throw new DriverError("unsupported", `the source names another ${name} than this host's`);
}
