import { z } from "zod";
import { UsageSample } from "#core/contracts/agent/usage.ts";
import type { Log } from "#core/ports.ts";
import { CorruptState, loadSaved, save } from "#host-agent/state/saved.ts";
import type { StateStore } from "#host-agent/state/state-store.ts";
import { epochOf, MeterMark } from "./usage.ts";

const FOLDER = "spool";
const MARKS = "meter.json";
const ASIDE = "spool-refused";
/** The wire takes so many samples at once. */
export const SAMPLES_A_BATCH = 1000;
/** So many refused samples are kept: two weeks of a VM that is sampled each minute. Then the oldest are given up. */
const MOST_ASIDE = 20_000;

const Page = z.object({ samples: z.array(UsageSample), marks: z.array(MeterMark) });
type Page = z.infer<typeof Page>;
/** `oldestAt`: when its first sample ends; null: it has none. */
type PageInfo = { name: string; samples: number; oldestAt: Date | null };
const infoOf = (name: string, samples: readonly UsageSample[]): PageInfo => ({
  name,
  samples: samples.length,
  oldestAt: samples[0] === undefined ? null : new Date(samples[0].to),
});

/**
 * Samples until they are acknowledged, and the marks that they end at. A page holds both and is written at once,
 * so a crash loses both or neither: no byte is counted twice, and none is lost. `meter.json` keeps the marks of
 * pages that were sent and deleted. What the control plane refuses lies aside, and is sent again from time to time.
 */
export interface Spool {
  load(): Promise<void>;
  mark(vmId: string): MeterMark | null;
  /** Samples that wait. Those that lie aside are not among them. */
  size(): number;
  /** When the first of these ends; null: there are none. */
  oldestAt(): Date | null;
  add(samples: readonly UsageSample[], marks: readonly MeterMark[]): Promise<void>;
  /** The oldest samples, as many as one batch takes; null when none wait. */
  oldest(): Promise<Batch | null>;
  /** The newest page's samples; none when none wait. */
  newest(): Promise<readonly UsageSample[]>;
  /** The batch is stored by the control plane, but for what it refused (put aside) and what it was not asked (waits on). */
  settle(batch: Batch, left: Left): Promise<void>;
  /** What lies aside, page by page: names for `readAside`. */
  aside(): readonly string[];
  /** null: it cannot be read, and is kept for people. */
  readAside(name: string): Promise<readonly UsageSample[] | null>;
  /** What of a page aside is still refused; none: it is done with. */
  settleAside(name: string, refused: readonly UsageSample[]): Promise<void>;
  /** This boot of the VM has been counted up to `nextSeq` already: the marks that said so were lost. */
  goOnFrom(boot: Pick<UsageSample, "vmId" | "bootEpoch">, nextSeq: number): void;
  /** Drops the marks of VMs that are no more. Takes effect with the next `settle`. */
  dropMarks(gone: (vmId: string) => boolean): void;
}
type Batch = Readonly<{ samples: readonly UsageSample[]; pages: readonly string[] }>;
export type Left = Readonly<{ refused: readonly UsageSample[]; waiting: readonly UsageSample[] }>;

export function createSpool(
  store: StateStore,
  log: Log,
  options: { mostAside?: number } = {},
): Spool {
  const mostAside = options.mostAside ?? MOST_ASIDE;
  const marks = new Map<string, MeterMark>();
  let pages: PageInfo[] = [];
  /** In the order in which they were put aside. */
  let aside: PageInfo[] = [];
  let lastNumber = 0;

  const nextName = () => `${String(++lastNumber).padStart(12, "0")}.json`;
  /**
   * A VM that moved away and came again is counted from then, in its new epoch. Within one, a sample's mark comes before any first mark: one of a look that
   * was written late would count all anew.
   */
  const isFurther = (mark: MeterMark, known: MeterMark): boolean => {
    const [epoch, before] = [epochOf(mark), epochOf(known)];
    if (epoch !== before) return epoch > before;
    return mark.nextSeq > 0 && (known.nextSeq === 0 || known.at < mark.at);
  };
  const learn = (mark: MeterMark) => {
    const known = marks.get(mark.vmId);
    if (known === undefined || isFurther(mark, known)) marks.set(mark.vmId, mark);
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
      const text = await store.read(`${FOLDER}/${name}`);
      // Under a name of its own: one aside may have this number since an earlier life of the agent.
      if (text !== null) await store.write(`${ASIDE}/${nextName()}`, text);
      await store.remove(`${FOLDER}/${name}`);
      return null;
    }
  }

  async function readAside(name: string): Promise<readonly UsageSample[] | null> {
    try {
      return (await loadSaved(store, `${ASIDE}/${name}`, Page))?.samples ?? [];
    } catch (error) {
      if (error instanceof CorruptState) return null;
      throw error;
    }
  }

  async function putAside(samples: readonly UsageSample[]): Promise<void> {
    const name = nextName();
    await save(store, `${ASIDE}/${name}`, { samples, marks: [] });
    aside.push(infoOf(name, samples));
    let kept = aside.reduce((sum, page) => sum + page.samples, 0);
    for (const page of aside) {
      if (kept <= mostAside || page.name === name) return;
      await giveUp(page.name);
      kept -= page.samples;
    }
  }

  /** Usage is lost here, and nowhere else: so whose, and of when, is told. */
  async function giveUp(name: string): Promise<void> {
    const samples = (await readAside(name)) ?? [];
    log.error("usage_given_up", {
      samples: samples.length,
      vm_ids: [...new Set(samples.map((sample) => sample.vmId))].slice(0, 20),
      from: samples.map((sample) => sample.from).sort()[0] ?? null,
      to:
        samples
          .map((sample) => sample.to)
          .sort()
          .at(-1) ?? null,
    });
    await settleAside(name, []);
  }

  async function settleAside(name: string, refused: readonly UsageSample[]): Promise<void> {
    if (refused.length === 0) {
      await store.remove(`${ASIDE}/${name}`);
      aside = aside.filter((page) => page.name !== name);
      return;
    }
    await save(store, `${ASIDE}/${name}`, { samples: refused, marks: [] });
    aside = aside.map((page) => (page.name === name ? infoOf(name, refused) : page));
  }

  return {
    async load() {
      for (const mark of (await loadSaved(store, MARKS, z.array(MeterMark))) ?? []) learn(mark);
      const [names, asideNames] = [await store.list(FOLDER), await store.list(ASIDE)];
      for (const name of [...names, ...asideNames])
        lastNumber = Math.max(lastNumber, Number.parseInt(name, 10) || 0);
      for (const name of asideNames) {
        const samples = await readAside(name);
        if (samples !== null) aside.push(infoOf(name, samples));
      }
      for (const name of names) {
        const page = await read(name);
        if (page === null) continue;
        page.marks.forEach(learn);
        pages.push(infoOf(name, page.samples));
      }
    },
    mark: (vmId) => marks.get(vmId) ?? null,
    size: () => pages.reduce((sum, page) => sum + page.samples, 0),
    oldestAt: () => pages.find((page) => page.samples > 0)?.oldestAt ?? null,
    async add(samples, ends) {
      const name = nextName();
      await save(store, `${FOLDER}/${name}`, { samples, marks: ends });
      pages.push(infoOf(name, samples));
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
    async newest() {
      const last = pages.findLast((page) => page.samples > 0);
      return last === undefined ? [] : ((await read(last.name))?.samples ?? []);
    },
    async settle(batch, { refused, waiting }) {
      // The marks first: after a crash in between, the batch is sent again and known as a double.
      await save(store, MARKS, [...marks.values()]);
      if (refused.length > 0) await putAside(refused);
      const [first] = batch.pages;
      if (first !== undefined && waiting.length > 0) {
        // In its place, as the oldest. Its marks are in `meter.json`.
        await save(store, `${FOLDER}/${first}`, { samples: waiting, marks: [] });
        pages = pages.map((page) => (page.name === first ? infoOf(first, waiting) : page));
      }
      for (const name of waiting.length > 0 ? batch.pages.slice(1) : batch.pages) {
        await store.remove(`${FOLDER}/${name}`);
        drop(name);
      }
    },
    aside: () => aside.map((page) => page.name),
    readAside,
    settleAside,
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
