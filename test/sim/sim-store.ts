import type { StateStore } from "#host-agent/state/state-store.ts";
import type { Dice } from "./dice.ts";

/**
 * A host's state folder as the agent's file store keeps it with `durable`: a write is on the disk when it returns, a
 * removal is not flushed, and a power cut may take it back; what was being written is there whole, or not at all.
 */
export class SimStore implements StateStore {
  readonly #texts = new Map<string, string>();
  readonly #removed = new Map<string, string>();
  readonly #writing = new Map<string, string>();
  full = false;

  peek(name: string): string | null {
    return this.#texts.get(name) ?? null;
  }
  async read(name: string): Promise<string | null> {
    return this.#texts.get(name) ?? null;
  }
  /** The text is on its way to the disk; `written` says that it arrived. */
  begin(name: string, text: string): void {
    if (this.full)
      throw Object.assign(new Error(`ENOSPC: no space left on device (simulated)`), {
        code: "ENOSPC",
      });
    this.#writing.set(name, text);
  }
  async write(name: string, text: string): Promise<void> {
    this.begin(name, text);
    this.#writing.delete(name);
    this.#texts.set(name, text);
    this.#removed.delete(name);
    // Flushing the folder flushes what was removed in it, too.
    for (const gone of this.#removed.keys())
      if (folderOf(gone) === folderOf(name)) this.#removed.delete(gone);
  }
  async remove(name: string): Promise<void> {
    const text = this.#texts.get(name);
    if (text !== undefined) this.#removed.set(name, text);
    this.#texts.delete(name);
  }
  async list(folder: string): Promise<readonly string[]> {
    return [...this.#texts.keys()]
      .filter((name) => name.startsWith(`${folder}/`))
      .map((name) => name.slice(folder.length + 1))
      .sort();
  }

  /** The agent's process is gone: what it was writing stands in a file that nobody reads. */
  abandon(): void {
    this.#writing.clear();
  }

  /** Something is between the beginning of its write and the end. */
  get isWriting(): boolean {
    return this.#writing.size > 0;
  }

  /** The power fails: each thing that was not flushed is there or not, as the dice fall. */
  losePower(dice: Dice): void {
    for (const [name, text] of this.#writing) if (dice.chance(0.5)) this.#texts.set(name, text);
    this.abandon();
    for (const [name, text] of this.#removed) if (dice.chance(0.5)) this.#texts.set(name, text);
    this.#removed.clear();
  }
}

const folderOf = (name: string): string => name.split("/").slice(0, -1).join("/");
