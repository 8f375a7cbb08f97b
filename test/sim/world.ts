import type { Check, Scene } from "./checks/scene.ts";
import type { Liars } from "./liars.ts";
import type { Operators } from "./operators.ts";
import type { People } from "./people.ts";
import type { Backups } from "./restore.ts";
import type { SimQueues } from "./queues.ts";
import type { Requests } from "./requests.ts";
import type { Staff } from "./staff.ts";

/** One world, from its beginning until it is at rest or broken. */
export type World = Scene &
  Readonly<{
    requests: Requests;
    people: People;
    staff: Staff;
    operators: Operators;
    liars: Liars;
    queues: SimQueues;
    backups: Backups;
    /** The same ones at every look: what they saw on the way is what they judge the end by. */
    checks: readonly Check[];
    /** People who are not done with what they began. */
    busy: { count: number };
    /** Goes on until this is done. */
    settle: <T>(work: Promise<T>) => Promise<T>;
    /** Goes on for `ms` of virtual time. */
    run: (ms: number) => Promise<void>;
    /** Goes on for so many steps, or for minutes if fewer are to be done in them. */
    runSteps: (steps: number) => Promise<void>;
  }>;
