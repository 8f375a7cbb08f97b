import type { MoveReport } from "#core/contracts/agent/moves.ts";
import type { Clock, Log } from "#core/ports.ts";
import type { Look, Observer } from "#host-agent/converge/observer.ts";
import { countError, type AgentMetrics } from "#host-agent/metrics.ts";
import { backOffMs, pause } from "#host-agent/time-limit.ts";
import { moveError } from "./move-error.ts";
import type { MovingVm } from "./move-files.ts";

/** What a step has to say when it is done. */
export type Done = Pick<MoveReport, "done"> &
  Partial<Pick<MoveReport, "disk" | "sha256" | "bytes" | "pauseMs">>;

/** The VM's own worker, as far as its move must know. */
export type VmsWorker = Readonly<{
  /** It has let go of the VM, and what it did is over. */
  ended: () => Promise<void>;
  /** It goes by what is wanted now, and has nothing under way. */
  atRest: () => Promise<void>;
}>;

/** A step of a move as it is being done. */
export type Doing = Readonly<{
  vm: MovingVm;
  /** Aborted when the move is at another step, or is named no more. */
  signal: AbortSignal;
  worker: VmsWorker;
  /** Of somebody else's doing: meanwhile there is nothing for the agent to do. */
  waitFor: <T>(event: Promise<T>) => Promise<T>;
  /** What of the disk is at the destination. */
  tell: (bytes: number) => void;
  /** It is done, and the step is not over: others may still ask for it. */
  say: (done: Done) => void;
}>;

export type MoveWorkerPorts = Readonly<{
  clock: Clock;
  log: Log;
  metrics: AgentMetrics;
  signal: AbortSignal;
  observer: Pick<Observer, "begun">;
  report: (word: MoveReport, again: boolean) => void;
  /** null: there is nothing to do, or to say. */
  doStep: (doing: Doing) => Promise<Done | null>;
  /** A step, or what was left of one, has ended. */
  ended: () => void;
}>;

/** This host's part of one VM's move: one step at a time, and none before the former one has ended, however it did. */
export interface MoveWorker {
  give(vm: MovingVm, again: boolean, worker: VmsWorker): void;
  /** The move is named no more: what is under way is aborted. */
  release(): void;
  part(): MovingVm | null;
  isWorking(): boolean;
  /** Whether the VM's worker may go by this look. null: it may; else when there is something to look for. */
  untilFree(look: Look): Promise<void> | null;
  /** Resolves when it has ended, or waits for somebody else. */
  idle(): Promise<void>;
}

const TELL_EVERY_MS = 5_000;

type Job = { stop: AbortController; ended: Promise<void>; waits: boolean };

export function createMoveWorker(ports: MoveWorkerPorts): MoveWorker {
  const { clock, log, metrics, observer } = ports;
  let part: MovingVm | null = null;
  /** The last word of the present step. */
  let word: MoveReport | null = null;
  const jobs = new Set<Job>();
  let present: Job | null = null;
  /** Looks up to this number may have been before the last step. */
  let staleUpTo = 0;
  let idlers: (() => void)[] = [];

  const becomeIdle = () => {
    if ([...jobs].some((job) => !job.waits)) return;
    for (const resolve of idlers) resolve();
    idlers = [];
  };
  const ending = () => [...jobs].filter((job) => job !== present).map((job) => job.ended);

  async function waitIn<T>(job: Job, event: Promise<T>): Promise<T> {
    job.waits = true;
    becomeIdle();
    try {
      return await event;
    } finally {
      job.waits = false;
    }
  }

  /** Until it is done, or cannot be. */
  async function persist(vm: MovingVm, job: Job, worker: VmsWorker) {
    const signal = AbortSignal.any([job.stop.signal, ports.signal]);
    const { vmId, move } = vm;
    const fields = { vm_id: vmId, move_id: move.id, role: move.role, step: move.step };
    const say = (what: Done & Pick<MoveReport, "error">) => {
      if (signal.aborted) return;
      word = { moveId: move.id, vmId, step: move.step, ...what };
      ports.report(word, false);
    };
    let failures = 0;
    let toldAt = -Infinity;
    const doing: Doing = {
      vm,
      signal,
      worker,
      waitFor: (event) => waitIn(job, event),
      tell: (bytes) => {
        // It goes forward: what failed before is of the past.
        failures = 0;
        const now = clock.now().getTime();
        if (now - toldAt < TELL_EVERY_MS) return;
        toldAt = now;
        say({ done: null, bytes: String(bytes), error: null });
      },
      say: (done) => {
        log.info("move_step", { ...fields, outcome: done.done ?? "nothing" });
        say({ ...done, error: null });
      },
    };
    for (;;) {
      try {
        const done = await ports.doStep(doing);
        if (done !== null) doing.say(done);
        return;
      } catch (thrown) {
        if (signal.aborted) return;
        const error = moveError(thrown, move.step);
        countError(metrics, thrown);
        log.error("move_step", { ...fields, outcome: error.code, ...error });
        say({ done: null, error });
        if (error.final) return;
        failures += 1;
        await waitIn(job, pause(clock, backOffMs(failures), signal));
        if (signal.aborted) return;
      }
    }
  }

  function begin(vm: MovingVm, worker: VmsWorker): void {
    present?.stop.abort();
    const former = [...jobs].map((job) => job.ended);
    const job: Job = { stop: new AbortController(), ended: Promise.resolve(), waits: false };
    present = job;
    jobs.add(job);
    job.ended = Promise.all(former)
      .then(() => (job.stop.signal.aborted ? undefined : persist(vm, job, worker)))
      .catch((error: unknown) => log.error("move_work_failed", { error: String(error) }))
      .finally(() => {
        jobs.delete(job);
        if (present === job) present = null;
        staleUpTo = observer.begun();
        becomeIdle();
        ports.ended();
      });
  }

  return {
    give(vm, again, worker) {
      const isSame = part !== null && stepKey(part) === stepKey(vm);
      part = vm;
      if (!isSame) {
        word = null;
        begin(vm, worker);
      } else if (again && word !== null) ports.report(word, true);
    },
    release() {
      part = null;
      word = null;
      present?.stop.abort();
      present = null;
    },
    part: () => part,
    isWorking: () => jobs.size > 0,
    untilFree(look) {
      const former = ending();
      if (former.length > 0) return Promise.all(former).then(() => undefined);
      return look.number > staleUpTo ? null : Promise.resolve();
    },
    idle: () =>
      [...jobs].every((job) => job.waits)
        ? Promise.resolve()
        : new Promise((resolve) => idlers.push(resolve)),
  };
}

/** What a step is done for: when anything of it is another, it is another one. A changed limit is for the next attempt to send. */
const stepKey = ({ ownerEpoch, move }: MovingVm): string =>
  JSON.stringify([ownerEpoch, { ...move, mbitPerSecond: null }]);
