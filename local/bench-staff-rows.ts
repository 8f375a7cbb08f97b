import { v7 } from "uuid";
import { asOwner, hostId, idOf, payerId, vmId, VMS_OF_A_HOST } from "./bench-fleet-rows.ts";
import type { Fleet } from "./bench-fleet-database.ts";

/* A fleet as it is after some years, where nothing is spread evenly: what an index of one column answers worst. */

/** What is asked for, by name. */
export type Skewed = Readonly<{
  bigAccount: string;
  smallAccount: string;
  fullHost: string;
  bigLocation: string;
  smallLocation: string;
  usualPlan: string;
  rarePlan: string;
  /** With many actions of its own. */
  busyVm: string;
  someVm: string;
  /** With many entries of the audit log. */
  auditedVm: string;
}>;

/** Rows go in several times as fast where no index takes them one by one: those that nothing depends on are made again at the end. */
export async function withoutIndexes<T>(fleet: Fleet, fillIn: () => Promise<T>): Promise<T> {
  const dropped = await asOwner(fleet, async (client) => {
    const { rows } = await client.query<{ name: string; definition: string }>(
      `select i.indexrelid::regclass::text as name, pg_get_indexdef(i.indexrelid) as definition from pg_index i
       join pg_class t on t.oid = i.indrelid and t.relkind = 'r' where t.relnamespace = 'public'::regnamespace and not i.indisunique
         and not exists (select from pg_constraint c where c.conindid = i.indexrelid)`,
    );
    await client.query(`drop index ${rows.map(({ name }) => name).join(", ")}`);
    return rows.map(({ definition }) => definition);
  });
  const filled = await fillIn();
  await asOwner(fleet, async (client) => {
    await client.query("set maintenance_work_mem = '256MB'");
    await client.query(dropped.join("; "));
    // Some are of expressions, of which Postgres knows something once it has looked.
    await client.query("vacuum (analyze)");
    await client.query("checkpoint");
  });
  return filled;
}

/**
 * Of `vms` VMs: the oldest fifth gone, a twentieth of them one account's, whose names are all alike; a location with a fiftieth;
 * a plan that few have; a hundredth lost. Nearly all hosts are full. Beside the VMs, what years leave: closed accounts, those of other
 * billing systems, orders that expired, actions that failed, an audit log that jobs have written most of, findings that ended.
 * One statement a table and skew.
 */
export async function skew(fleet: Fleet, vms: number): Promise<Skewed> {
  const { locationId } = fleet;
  const smallLocation = v7();
  const of = (part: number) => Math.floor((vms * part) / VMS_OF_A_HOST) * VMS_OF_A_HOST;
  const [bigFrom, bigTo] = [vmId(of(0.5)), vmId(of(0.55))];
  const smallFrom = of(0.9);
  const smallTo = of(0.92);
  const big = payerId(1);
  const inSmall = `between '${hostId(smallFrom / VMS_OF_A_HOST)}' and '${hostId(smallTo / VMS_OF_A_HOST - 1)}'`;
  const statements = [
    `insert into locations (id, name, city, country, nameservers, created_at)
     values ('${smallLocation}', 'small', 'Small', 'DE', '{}', now())`,
    `update hosts set location_id = '${smallLocation}' where id ${inSmall}`,
    // Of one in twenty there is room; a few are on their way out, and some have gone.
    `update hosts set capacity_vcpus = case when nth % 20 = 0 then capacity_vcpus else allocated_vcpus end,
       capacity_memory_mib = case when nth % 20 = 0 then capacity_memory_mib else allocated_memory_mib end,
       state = (case when nth % 40 = 1 then 'retired' when nth % 1000 = 2 then 'draining' else 'active' end)::host_state,
       host_group = case when nth % 500 = 3 then 'rack-1' when nth % 2 = 0 then 'old' end
     from (select id as host, row_number() over (order by id) as nth from hosts) n where id = host`,
    `update vms set location_id = case when host_id ${inSmall} then '${smallLocation}' else location_id end,
       account_id = case when id >= '${bigFrom}' and id < '${bigTo}' then '${big}' else account_id end,
       hostname = case when id >= '${bigFrom}' and id < '${bigTo}' then 'acme-' || hostname else hostname end,
       presence = (case when id < '${vmId(of(0.2))}' then 'absent' else presence::text end)::vm_presence,
       deleted_at = case when id < '${vmId(of(0.2))}' then now() else deleted_at end,
       label = case when id >= '${vmId(of(0.8))}' then 'Shop ' || hostname end,
       lost_at = case when id >= '${vmId(of(0.7))}' and id < '${vmId(of(0.71))}' and deleted_at is null then now() end
     where host_id ${inSmall} or (id >= '${bigFrom}' and id < '${bigTo}') or id < '${vmId(of(0.2))}' or id >= '${vmId(of(0.7))}'`,
    `update services set plan_id = (select id from plans where name = 'M') where vm_id >= '${vmId(vms - 50)}'`,
    `update orders set account_id = v.account_id, location_id = v.location_id, state = (case when v.id >= '${vmId(of(0.97))}' then 'expired'
       when v.deleted_at is not null then 'completed' when v.id = '${vmId(vms / 2)}' then 'refunding' else 'active' end)::order_state
     from vms v where v.id = vm_id and (v.id >= '${vmId(of(0.97))}' or v.deleted_at is not null or v.location_id = '${smallLocation}'
       or v.account_id = '${big}' or v.id = '${vmId(vms / 2)}')`,
    `update invoices i set account_id = '${big}' from orders o where o.id = i.order_id and o.account_id = '${big}'`,
    `update accounts set
       role = (case when nth % 40 = 5 then 'integration' else role::text end)::account_role,
       banned_at = case when nth < $1::int / 100 or nth % 1000 = 7 then now() end,
       email = case when nth between $1::int / 50 and $1::int / 10 then 'acme-' || email else email end,
       name = case when nth % 3 = 0 then 'Ada ' || nth else name end
     from (select id as account, row_number() over (order by id) as nth from accounts where role = 'customer') n
     where id = account and (nth % 40 = 5 or nth % 1000 = 7 or nth % 3 = 0 or nth < $1::int / 10)`,
    `insert into actions (id, vm_id, type, status, generation, started_at, finished_at, error_code)
     select ${idOf(7, "n")}, case when n % 10 = 9 then '${vmId(of(0.6))}' else ${idOf(4, `n * 2 % ${vms}`)} end,
       (case when n % 50 = 1 then 'resize' else 'reboot' end)::action_type,
       (case when n % 10 = 3 then 'error' else 'success' end)::action_status, 1, now(), now(),
       (case when n % 10 = 3 then 'timed_out' end)::action_error_code
     from generate_series(0, $1::int / 4) n`,
    // Only the newest run, each of a VM of its own.
    `insert into actions (id, vm_id, type, status, generation, started_at)
     select ${idOf(8, "n")}, ${idOf(4, `n + ${of(0.6)} + 1`)}, 'stop', 'running', 1, now() from generate_series(0, $1::int / 2000) n`,
    `insert into audit_log (id, at, actor_kind, actor_id, action, subject_kind, subject_id, detail)
     select ${idOf(7, "n")}, now() - interval '1 second' * ($1::int - n), (case when n % 100 = 0 then 'staff' else 'system' end)::actor_kind,
       case when n % 100 = 0 then '${fleet.staffId}' else 'sweep' end, 'vm.request_action', 'vm',
       case when n % 20 = 0 then '${vmId(of(0.6))}' else ${idOf(4, "n")} end, '{}'
     from generate_series(0, $1::int - 1) n`,
    // A move for each hundred VMs: a tenth of one VM, a third from one host, and the newest go on.
    `insert into moves (id, vm_id, action_id, source_host_id, destination_host_id, method, step, outcome, source_epoch, epoch,
       generation, sealed_key, address, port, format, created_at, step_at, heard_at, released_at, ended_at)
     select id, vm, id, source, destination, 'cold', (case when open then 'prepare' else 'ended' end)::move_step,
       (case when not open then 'moved' end)::move_outcome, n + 1, n + 2, case when not open then 1 end, case when open then 'sealed' end,
       '192.0.2.1', 1, 'qcow2', now(), now(), now(), case when not open then now() end, case when not open then now() end
     from (select n, ${idOf(7, "n")} as id, n % 10 <> 9 and n > $1::int / 100 - 50 as open,
         case when n % 10 = 9 then '${vmId(of(0.6))}' else ${idOf(4, "n * 2")} end as vm,
         case when n % 3 = 1 then '${hostId(of(0.6) / VMS_OF_A_HOST)}' else ${idOf(2, `n % ($1::int / ${VMS_OF_A_HOST})`)} end as source,
         ${idOf(2, `(n + 7) % ($1::int / ${VMS_OF_A_HOST})`)} as destination from generate_series(0, $1::int / 100) n) as made
     where source <> destination`,
    `insert into findings (id, kind, host_id, subject, vm_id, first_seen_at, last_seen_at, ended_at, detail)
     select ${idOf(7, "n")}, case when n % 5000 = 4 then 'image_changed' when n % 2 = 0 then 'vm_lost' else 'host_silent' end,
       ${idOf(2, `n % ($1::int / ${VMS_OF_A_HOST})`)}, 'of ' || n, ${idOf(4, "n")}, now(), now(),
       case when n % 500 <> 0 then now() end, '' from generate_series(0, $1::int / 4) n`,
  ];
  await asOwner(fleet, async (client) => {
    await client.query("set session_replication_role = replica");
    for (const statement of statements)
      await client.query(statement, statement.includes("$1") ? [vms] : []);
  });
  const plan = async (name: string) => {
    const found = await asOwner(fleet, (client) =>
      client.query<{ id: string }>("select id from plans where name = $1", [name]),
    );
    return found.rows[0]?.id ?? "";
  };
  return {
    bigAccount: big,
    smallAccount: payerId(Math.floor(vms * 0.12)),
    fullHost: hostId(of(0.6) / VMS_OF_A_HOST),
    bigLocation: locationId,
    smallLocation,
    usualPlan: await plan("S"),
    rarePlan: await plan("M"),
    busyVm: vmId(of(0.6)),
    someVm: vmId(Math.floor(vms / 2)),
    auditedVm: vmId(of(0.6)),
  };
}
