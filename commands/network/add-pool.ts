import { assignableAddresses } from "#core/network/address.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { loadLocation } from "#db/catalogue/catalogue.ts";
import { insertPool } from "#db/network/pools.ts";
import { recordChange, type Actor } from "#db/record-change.ts";
import { inTransaction, violates } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";

type PoolRefusal = Refusal<"location_not_found" | "pool_invalid" | "name_taken">;

/** Gives a location a block of addresses; answers how many of them VMs can have. */
export async function addPool(
  deps: Deps,
  by: Actor,
  pool: { locationId: string; cidr: string; gateway: string; vlan: number | null },
): Promise<Result<{ addresses: number }, PoolRefusal>> {
  const at = stamp(deps);
  const addresses = assignableAddresses(pool);
  if (!addresses.ok) return addresses;
  try {
    return await inTransaction(
      deps.db,
      async (tx): Promise<Result<{ addresses: number }, PoolRefusal>> => {
        if (!(await loadLocation(tx, pool.locationId)))
          return refuse("location_not_found", "no such location");
        await insertPool(tx, { id: at.newId(), ...pool, addresses: addresses.value }, at.now);
        await recordChange(
          tx,
          {
            actor: by,
            action: "location.add_pool",
            subject: { kind: "location", id: pool.locationId },
            detail: { cidr: pool.cidr },
            events: [],
          },
          at,
        );
        return ok({ addresses: addresses.value.length });
      },
    );
  } catch (error) {
    if (violates(error, "network_pools_no_overlap"))
      return refuse("name_taken", "addresses of this block are in another pool already");
    throw error;
  }
}
