import { recordRestore } from "#commands/hosts/record-restore.ts";
import type { ControlPlane } from "./control-plane.ts";
import type { DbServer } from "./db-socket.ts";
import type { SimHost } from "./host.ts";
import type { Mirror, Row } from "./mirror.ts";
import { runProcess } from "./process.ts";
import type { Sim } from "./sim.ts";

const HOUR_MS = 3_600_000;

/** The database as it was at an instant, and what brings the mirror back to it. */
type Backup = Readonly<{ at: number; database: string; mirror: () => void; moves: string }>;

/** How far each move is. */
const movesIn = ({ moves }: Mirror): string =>
  moves
    .all()
    .map(({ id, step }) => `${id} ${step}`)
    .toSorted()
    .join();

/**
 * What the database knew when it went back to an earlier state. What it knows no more, the payment provider, hosts, agents and
 * queues still go by: none of them goes back.
 */
export type Restore = {
  /** The state that it went back to, and when it did. */
  readonly to: number;
  readonly at: number;
  /** When staff have said it; null: they have not. */
  said: number | null;
  readonly orders: ReadonlyMap<string, Row<"orders">>;
  readonly vms: ReadonlyMap<string, Row<"vms">>;
  readonly actions: readonly Row<"actions">[];
  readonly samples: readonly Row<"usage_samples">[];
  readonly giveBacks: ReadonlyMap<string, Row<"give_backs">>;
  readonly planChanges: ReadonlyMap<string, Row<"plan_changes">>;
  /** VMs of which a change was begun, or went on, in what it knows no more. */
  readonly lostChanges: ReadonlySet<string>;
  /** Orders that it does not know any more at all. */
  readonly lostOrders: ReadonlySet<string>;
};

type Parts = Readonly<{
  sim: Sim;
  server: DbServer;
  mirror: Mirror;
  hosts: readonly SimHost[];
  plane: ControlPlane;
  restores: Restore[];
}>;

/** Keeps backups of a run, and goes back to them. */
export class Backups {
  readonly #parts: Parts;
  readonly #kept: Backup[] = [];

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Keeps the state of now, between two transactions. */
  async take(): Promise<void> {
    const { sim, server, mirror } = this.#parts;
    await sim.scheduler.turn("backup", () => server.holder === null);
    const at = sim.scheduler.now().getTime();
    this.#kept.push({
      at,
      database: server.postgres.backUp(),
      mirror: mirror.backUp(),
      moves: movesIn(mirror),
    });
  }

  /**
   * Goes back to the oldest state that is no older than `agoMs`, or to the newest within an hour; null: there is none. As the
   * runbook has it: all connections end, and nothing is swept until staff have said it; functions, and what waits in queues, go on.
   */
  async goBack(agoMs: number): Promise<Restore | null> {
    const { sim, server, mirror, hosts, plane, restores } = this.#parts;
    await sim.scheduler.turn("the database goes back", () => server.holder === null);
    const at = sim.scheduler.now().getTime();
    // What becomes of a VM whose move such a database does not know is not decided yet: it goes back to none of these.
    const moves = movesIn(mirror);
    const kept = this.#kept.filter((each) => each.moves === moves);
    const backup = kept.find((each) => each.at >= at - agoMs) ?? kept.at(-1);
    // After days have passed at once: nobody restores so late.
    if (backup === undefined || backup.at < at - HOUR_MS) return null;
    const before = {
      orders: new Map(mirror.orders.rows),
      vms: new Map(mirror.vms.rows),
      actions: mirror.actions.all(),
      samples: mirror.samples.all(),
      giveBacks: new Map(mirror.giveBacks.rows),
      planChanges: new Map(mirror.planChanges.rows),
    };
    for (const socket of server.open) socket.cut();
    server.postgres.restore(backup.database);
    backup.mirror();
    const restore: Restore = {
      ...before,
      to: backup.at,
      at,
      said: null,
      actions: before.actions.filter(({ id }) => mirror.actions.get(id) === undefined),
      lostChanges: new Set(
        [...before.planChanges.values()]
          // Whoever followed it may have done no more than look.
          .filter(
            (change) =>
              JSON.stringify(mirror.planChanges.get(change.id)) !== JSON.stringify(change),
          )
          .map(({ vm_id: vmId }) => vmId),
      ),
      lostOrders: new Set([...before.orders.keys()].filter((id) => !mirror.orders.get(id))),
    };
    restores.push(restore);
    for (const id of restore.lostOrders) sim.lost.add(id);
    plane.sweeps.stopped = true;
    const lostVms = new Set([...before.vms.keys()].filter((id) => !mirror.vms.get(id)));
    for (const host of hosts) {
      host.wentBack = { saidAt: null, tookAt: null, lostVms };
      host.disturbed();
    }
    sim.faults.count("db.restored");
    sim.scheduler.trace(`the database went back ${(at - backup.at) / 1000} s`);
    return restore;
  }

  /** Says it, and is killed half-way. */
  async sayAndDie(restore: Restore, livesFor: number): Promise<void> {
    const { sim, plane } = this.#parts;
    const asked = { restoredTo: new Date(restore.to), dryRun: false };
    await new Promise<void>((resolve) => {
      const limitMs = 60_000;
      const process = { name: "restored", livesFor, limitMs, died: () => resolve() };
      runProcess(sim.scheduler, process, async () => {
        await recordRestore(plane.deps, { kind: "system", id: "simulator" }, asked);
      }).then(resolve, (error: unknown) => {
        sim.log.error("restored", { error });
        resolve();
      });
    });
  }

  /** Staff have said it: all goes on as ever. */
  said(restore: Restore): void {
    const { sim, plane, hosts } = this.#parts;
    if (restore.said !== null) return;
    restore.said = sim.scheduler.now().getTime();
    plane.sweeps.stopped = false;
    for (const host of hosts) {
      if (host.wentBack !== null) host.wentBack.saidAt = restore.said;
      host.disturbed();
    }
  }
}
