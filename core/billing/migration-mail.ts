import type { Money } from "#core/money.ts";
import type { ResizeMethod } from "./quote.ts";
import type { VmSize } from "#core/vms/vm.ts";

/** A VM of which its owner is told. */
export type ToldVm = Readonly<{
  hostname: string;
  from: VmSize;
  to: VmSize;
  method: ResizeMethod;
  downSeconds: number;
  /** null: its price stays, or is not ours. */
  difference: Money | null;
}>;

/** The mail that tells an owner what will become of his VMs, in plain text. `notBefore`: none of them is touched sooner. */
export function migrationMail(
  to: string,
  {
    planName,
    notBefore,
    atRenewal,
    vms,
  }: { planName: string; notBefore: Date; atRenewal: boolean; vms: readonly ToldVm[] },
): { to: string; subject: string; text: string } {
  const day = notBefore.toISOString().slice(0, 10);
  const when = atRenewal
    ? `with the end of the period that is paid for each, and not before ${day}`
    : `from ${day} on (UTC)`;
  return {
    to,
    subject: `Berth: your servers change from ${day} on`,
    text: [
      `These servers of yours come to the plan ${planName}, ${when}:`,
      "",
      ...vms.map(lineOf),
      "",
      "There is nothing that you must do. One that is restarted is shut down first, as from its own menu.",
      "",
    ].join("\n"),
  };
}

function lineOf({ hostname, from, to, method, downSeconds, difference }: ToldVm): string {
  const parts = [
    `${sizeOf(from)} become ${sizeOf(to)}`,
    downOf(method, downSeconds),
    ...(difference === null || difference.minor === 0n ? [] : [priceOf(difference)]),
  ];
  return `- ${hostname}: ${parts.join("; ")}`;
}

/** Where a VM is, is nothing that customers are told of: that it may be down for longer is. */
function downOf(method: ResizeMethod, seconds: number): string {
  if (seconds === 0) return "it runs on";
  return method === "move"
    ? `it restarts, and is down for up to ${Math.ceil(seconds / 60)} minutes`
    : `it restarts once, and is down for up to ${seconds} s`;
}

const sizeOf = ({ vcpus, memoryMib, diskGib }: VmSize): string =>
  `${vcpus} vCPUs, ${memoryMib} MiB of memory and ${diskGib} GiB of disk`;

/** All currencies of ours have two decimal places. */
function priceOf({ minor, currency }: Money): string {
  const cents = (minor < 0n ? -minor : minor).toString().padStart(3, "0");
  const sum = `${cents.slice(0, -2)}.${cents.slice(-2)} ${currency.toUpperCase()}`;
  return `its price ${minor < 0n ? "falls" : "rises"} by ${sum} for each period, before tax`;
}
