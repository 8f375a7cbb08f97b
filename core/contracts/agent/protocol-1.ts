import { z } from "zod";
import type { AgentSession, EnrollAnswer } from "./channel.ts";
import type { DesiredDocument, DesiredVm, InitialPasswordAnswer } from "./desired.ts";
import type { ReportReceipt } from "./report.ts";
import type { UsageReceipt } from "./usage.ts";

/*
 * What agents of protocol 1 get: they announce nothing, refuse any field that they do not know, and lose the whole document
 * over one VM with a word of tomorrow. So their shapes are written out here, as they were, and use nothing of what may
 * change. NOTHING IN THIS FILE EVER CHANGES; it goes when the last such agent has gone. A field that is not listed is left
 * out; `test/compat/` runs such an agent against it.
 */

const Ipv4 = z.ipv4();

const Size1 = z.object({
  vcpus: z.int().positive().max(2048),
  memoryMib: z.int().positive(),
  diskGib: z.int().positive(),
});

const Image1 = z.object({
  id: z.uuid(),
  file: z.string().regex(/^[a-z0-9][a-z0-9._-]{0,99}$/),
  os: z.enum(["linux", "freebsd", "windows"]),
  minMemoryMib: z.int().positive(),
});

const Nic1 = z.object({
  mac: z.string().regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/),
  ipv4: z.object({ address: Ipv4, prefix: z.int().min(0).max(32), gateway: Ipv4 }),
  vlan: z.int().min(1).max(4094).nullable(),
  bandwidthMbit: z.int().positive().nullable(),
});

const Vm1 = z.object({
  vmId: z.uuid(),
  generation: z.int().positive(),
  ownerEpoch: z.int().positive(),
  presence: z.enum(["present", "absent"]),
  mayCreate: z.boolean(),
  power: z.enum(["running", "off"]),
  stopMode: z.enum(["graceful", "firm"]),
  entitledUntil: z.iso.datetime({ precision: 3 }),
  hostname: z.string(),
  size: Size1,
  image: Image1,
  nics: z.array(Nic1).min(1).max(8),
  nameservers: z.array(z.ipv4()).max(4),
  sshKeys: z.array(z.string()).max(32),
  userData: z.string().nullable(),
  diskIops: z.int().positive().nullable(),
  pendingActions: z.array(z.object({ id: z.uuid(), type: z.enum(["reboot", "reset"]) })),
});
type Vm1 = z.infer<typeof Vm1>;
type Document1 = Readonly<{
  hostId: string;
  generation: number;
  hash: string;
  entitlementGraceSeconds: number;
  vms: Vm1[];
}>;

/**
 * The VMs that such an agent can have. One that needs a word, or has a value that it does not know, is left out: to the
 * agent it is then a VM that nobody named, which it never touches and tells of. Their hash is made of what this returns.
 */
export const vmsInProtocol1 = (vms: readonly DesiredVm[]): Vm1[] =>
  vms.flatMap((vm) => {
    if (vm.needs !== undefined && vm.needs.length > 0) return [];
    const fits = Vm1.safeParse(vm);
    return fits.success ? [fits.data] : [];
  });

/** `hash` is of `vms`, as they are here. */
export const documentInProtocol1 = (
  { hostId, generation, entitlementGraceSeconds }: Omit<DesiredDocument, "vms" | "hash">,
  vms: Vm1[],
  hash: string,
): Document1 => ({ hostId, generation, hash, entitlementGraceSeconds, vms });

export const enrollAnswerInProtocol1 = (answer: EnrollAnswer): EnrollAnswer => ({
  hostId: answer.hostId,
  identityEpoch: answer.identityEpoch,
});

export const sessionInProtocol1 = ({ doorbell, intervals }: AgentSession): AgentSession => ({
  doorbell: doorbell && {
    queueUrl: doorbell.queueUrl,
    region: doorbell.region,
    credentials: {
      accessKeyId: doorbell.credentials.accessKeyId,
      secretAccessKey: doorbell.credentials.secretAccessKey,
      sessionToken: doorbell.credentials.sessionToken,
      expiresAt: doorbell.credentials.expiresAt,
    },
  },
  intervals: {
    resyncSeconds: intervals.resyncSeconds,
    usageSampleSeconds: intervals.usageSampleSeconds,
    usageFlushSeconds: intervals.usageFlushSeconds,
  },
});

export const reportReceiptInProtocol1 = ({ accepted, ignored }: ReportReceipt): ReportReceipt => ({
  accepted,
  ignored,
});

export const usageReceiptInProtocol1 = (receipt: UsageReceipt): UsageReceipt => ({
  stored: receipt.stored,
  duplicates: receipt.duplicates,
  refused: receipt.refused.map(({ index, code, detail, nextSeq }) => ({
    index,
    code,
    detail,
    ...(nextSeq === undefined ? {} : { nextSeq }),
  })),
});

export const initialPasswordInProtocol1 = ({
  password,
}: z.infer<typeof InitialPasswordAnswer>): z.infer<typeof InitialPasswordAnswer> => ({ password });
