import { z } from "zod";
import { UNDERSTOOD } from "#core/contracts/agent/protocol.ts";
import { DesiredVm, type ReceivedDocument } from "#core/contracts/agent/desired.ts";

/** A VM that this agent must leave as it is, as it does not understand all of it; `why` is for people. */
export type RefusedVm = Readonly<{
  vmId: string;
  generation: number;
  ownerEpoch: number;
  why: string;
}>;

/** A received document as this agent understands it. */
export type ReadDocument = Readonly<{
  generation: number;
  hash: string;
  entitlementGraceSeconds: number;
  vms: readonly DesiredVm[];
  refused: readonly RefusedVm[];
  /** VMs that cannot even be told by name. */
  nameless: number;
}>;

/** What is asked of each VM, whatever else it holds: without it nothing can be said of it. */
const Named = z.object({
  vmId: z.uuid(),
  generation: z.int().positive(),
  ownerEpoch: z.int().positive(),
});
const Needs = z.object({ needs: z.array(z.string()).optional() });

/**
 * Reads each VM alone: one with a word, a shape or a value that this agent does not know is refused, and costs no other. A
 * field more is passed over, as the control plane names in `needs` what must not be.
 */
export function readDocument(
  received: ReceivedDocument,
  understood: readonly string[] = UNDERSTOOD,
): ReadDocument {
  const vms: DesiredVm[] = [];
  const refused: RefusedVm[] = [];
  let nameless = 0;
  for (const vm of received.vms) {
    const named = Named.safeParse(vm);
    if (!named.success) {
      nameless += 1;
      continue;
    }
    const unknown = unknownNeeds(vm, understood);
    const read = DesiredVm.safeParse(vm);
    if (read.success && unknown.length === 0) vms.push(read.data);
    else {
      const why =
        unknown.length > 0
          ? `this agent does not know ${unknown.join(", ")}`
          : `this agent cannot read ${fieldsOf(read.error)}`;
      refused.push({ ...named.data, why: `${why}: it needs a newer version` });
    }
  }
  const { generation, hash, entitlementGraceSeconds } = received;
  return { generation, hash, entitlementGraceSeconds, vms, refused, nameless };
}

/** Every VM that is this host's, whether this agent understands it or not. */
export const namedIn = (
  document: ReadDocument | null,
): readonly Pick<RefusedVm, "vmId" | "ownerEpoch">[] =>
  document === null ? [] : [...document.vms, ...document.refused];

function unknownNeeds(vm: unknown, understood: readonly string[]): readonly string[] {
  const { needs = [] } = Needs.safeParse(vm).data ?? {};
  return needs.filter((word) => !understood.includes(word)).map((word) => word.slice(0, 40));
}

const fieldsOf = (error: z.ZodError | undefined): string =>
  (error?.issues ?? [])
    .slice(0, 5)
    .map((issue) => issue.path.join("."))
    .join(", ");
