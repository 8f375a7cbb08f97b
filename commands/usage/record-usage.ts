import type { z } from "zod";
import { judgeSample } from "#core/usage/judge-sample.ts";
import type { UsageBatch, UsageReceipt, UsageSample } from "#core/contracts/agent/usage.ts";
import { bandwidthOfVms } from "#db/usage/usage.ts";
import type { Tx } from "#db/client.ts";
import { inTransaction } from "#db/transaction.ts";
import { endOfStored, insertSample, nextSeqOf, overlapsStored } from "#db/usage/usage.ts";
import { lockVmsOf, type VmRow } from "#db/vms/vms.ts";
import type { Deps } from "#commands/deps.ts";

type Refused = z.infer<typeof UsageReceipt>["refused"][number];

/**
 * Stores a batch of samples, each exactly once: a batch that is sent twice counts once. A sample of a VM that is
 * not this host's, or that cannot be true, is refused for good; the agent forgets it, and it is logged.
 */
export async function recordUsage(
  deps: Pick<Deps, "db" | "clock" | "log">,
  hostId: string,
  batch: UsageBatch,
): Promise<UsageReceipt> {
  const now = deps.clock.now();
  const ids = [...new Set(batch.samples.map((s) => s.vmId))];
  const receipt = await inTransaction(deps.db, async (tx) => {
    const rows = await lockVmsOf(tx, hostId, ids);
    const bandwidth = await bandwidthOfVms(tx, ids);
    const result = { stored: 0, duplicates: 0, refused: [] as Refused[] };
    for (const [index, sample] of batch.samples.entries()) {
      const vm = rows.get(sample.vmId);
      const outcome = vm
        ? await storeSample(tx, vm, bandwidth.get(vm.id) ?? null, sample, now)
        : ({ code: "vm_not_here", detail: "this host does not own the VM" } as const);
      if (outcome === "stored") result.stored++;
      else if (outcome === "duplicate") result.duplicates++;
      else result.refused.push({ index, ...outcome });
    }
    return result;
  });
  if (receipt.refused.length > 0)
    deps.log.error("record_usage.refused", {
      host_id: hostId,
      count: receipt.refused.length,
      codes: [...new Set(receipt.refused.map((r) => r.code))],
    });
  return receipt;
}

async function storeSample(
  tx: Tx,
  vm: VmRow,
  bandwidthMbit: number | null,
  sample: UsageSample,
  now: Date,
): Promise<"stored" | "duplicate" | Omit<Refused, "index">> {
  const judged = judgeSample(
    sample,
    { vcpus: vm.vcpus, bandwidthMbit, createdAt: vm.createdAt, deletedAt: vm.deletedAt },
    now,
  );
  if (!judged.ok) return { code: judged.error, detail: `${sample.from} to ${sample.to}` };
  const { from, to, ...counts } = judged.value;
  const key = { vmId: vm.id, bootEpoch: sample.bootEpoch, seq: sample.seq };
  const detail = `${sample.from} to ${sample.to}`;
  const known = await endOfStored(tx, key);
  if (known !== undefined)
    return +known === +to
      ? "duplicate"
      : { code: "sequence_reused", detail, nextSeq: await nextSeqOf(tx, key) };
  if (await overlapsStored(tx, { vmId: vm.id, from, to })) return { code: "overlaps", detail };
  await insertSample(tx, { ...key, fromAt: from, toAt: to, ...counts, receivedAt: now });
  return "stored";
}
