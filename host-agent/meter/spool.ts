import { z } from "zod";
import { UsageSample } from "#core/contracts/agent.ts";
import type { Log } from "#core/ports.ts";
import { loadSaved, save } from "#host-agent/state/saved.ts";
import type { StateStore } from "#host-agent/state/state-store.ts";
import { MeterMark } from "./usage.ts";

const FOLDER = "spool";
const MARKS = "meter.json";
const REFUSED = "spool-refused";
/** The wire takes so many samples at once. */
export const SAMPLES_A_BATCH = 1000;

const Page = z.object({ samples: z.array(UsageSample), marks: z.array(MeterMark) });
type Page = z.infer<typeof Page>;
type PageInfo = { name: string; samples: number };

/**
 * Samples until they are acknowledged, and the marks that they end at. A page holds both and is written at once,
 * so a crash loses both or neither: no byte is counted twice, and none is lost. `meter.json` keeps the marks of
 * pages that were sent and deleted.
 */
export interface Spool {
  load(): Promise<void>;
  mark(vmId: string): MeterMark | null;
  /** Samples that wait. */
  size(): number;
  add(samples: readonly UsageSample[], marks: readonly MeterMark[]): Promise<void>;
  /** The oldest samples, as many as one batch takes; null when none wait. */
  oldest(): Promise<Batch | null>;
  /** The batch is stored by the control plane, or was refused for good (`keep`: it is put aside for people). */
  forget(batch: Batch, keep: boolean): Promise<void>;
  /** This boot of the VM has been counted up to `nextSeq` already: the marks that said so were lost. */
  goOnFrom(boot: Pick<UsageSample, "vmId" | "bootEpoch">, nextSeq: number): void;
  /** Drops the marks of VMs that are no more. Takes effect with the next `forget`. */
  dropMarks(gone: (vmId: string) => boolean): void;
}
type Batch = Readonly<{ samples: readonly UsageSample[]; pages: readonly string[] }>;

export function createSpool(store: StateStore, log: Log): Spool {
  const marks = new Map<string, MeterMark>();
  let pages: PageInfo[] = [];
  let lastNumber = 0;

  const pageName = (number: number) => `${String(number).padStart(12, "0")}.json`;
  /** A sample's mark comes before any first mark: one of a look that was written late would count all anew. */
  const learn = (mark: MeterMark) => {
    const known = marks.get(mark.vmId);
    const isFurther =
      known === undefined || (mark.nextSeq > 0 && (known.nextSeq === 0 || known.at < mark.at));
    if (isFurther) marks.set(mark.vmId, mark);
  };

  const drop = (name: string) => {
    pages = pages.filter((page) => page.name !== name);
  };

  /** A page that cannot be read is put aside: it may cost its samples, never the others. */
  async function read(name: string): Promise<Page | null> {
    try {
      return await loadSaved(store, `${FOLDER}/${name}`, Page);
    } catch (error) {
      log.error("spool_page_corrupt", { page: name, error: String(error) });
      await putAside(name);
      return null;
    }
  }

  async function putAside(name: string): Promise<void> {
    const text = await store.read(`${FOLDER}/${name}`);
    if (text !== null) await store.write(`${REFUSED}/${name}`, text);
    await store.remove(`${FOLDER}/${name}`);
  }

  return {
    async load() {
      for (const mark of (await loadSaved(store, MARKS, z.array(MeterMark))) ?? []) learn(mark);
      for (const name of await store.list(FOLDER)) {
        const page = await read(name);
        lastNumber = Math.max(lastNumber, Number.parseInt(name, 10));
        if (page === null) continue;
        page.marks.forEach(learn);
        pages.push({ name, samples: page.samples.length });
      }
    },
    mark: (vmId) => marks.get(vmId) ?? null,
    size: () => pages.reduce((sum, page) => sum + page.samples, 0),
    async add(samples, ends) {
      const name = pageName(++lastNumber);
      await save(store, `${FOLDER}/${name}`, { samples, marks: ends });
      pages.push({ name, samples: samples.length });
      ends.forEach(learn);
    },
    async oldest() {
      const batch = { samples: [] as UsageSample[], pages: [] as string[] };
      for (const { name, samples } of pages) {
        if (batch.samples.length > 0 && batch.samples.length + samples > SAMPLES_A_BATCH) break;
        const page = await read(name);
        if (page === null) drop(name);
        else {
          batch.samples.push(...page.samples);
          batch.pages.push(name);
        }
      }
      return batch.pages.length === 0 ? null : batch;
    },
    async forget(batch, keep) {
      // The marks first: after a crash in between, the batch is sent again and known as a double.
      await save(store, MARKS, [...marks.values()]);
      for (const name of batch.pages) {
        const holdsSamples = pages.some((page) => page.name === name && page.samples > 0);
        if (keep && holdsSamples) await putAside(name);
        else await store.remove(`${FOLDER}/${name}`);
        drop(name);
      }
    },
    goOnFrom({ vmId, bootEpoch }, nextSeq) {
      const known = marks.get(vmId);
      if (known?.bootEpoch === bootEpoch && known.nextSeq < nextSeq)
        marks.set(vmId, { ...known, nextSeq });
    },
    dropMarks(gone) {
      for (const vmId of marks.keys()) if (gone(vmId)) marks.delete(vmId);
    },
  };
}
