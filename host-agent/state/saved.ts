import type { z } from "zod";
import type { StateStore } from "./state-store.ts";

/** A file of the agent's own that cannot be read. The agent stops: guessing could repeat or forget something. */
export class CorruptState extends Error {
  override name = "CorruptState";
}

/** What was saved under `name`; null when nothing was. */
export async function loadSaved<T>(
  store: StateStore,
  name: string,
  schema: z.ZodType<T>,
): Promise<T | null> {
  const text = await store.read(name);
  if (text === null) return null;
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw new CorruptState(`the agent's state file ${name} is corrupt: restore it or delete it`, {
      cause,
    });
  }
}

export const save = (store: StateStore, name: string, value: unknown): Promise<void> =>
  store.write(name, JSON.stringify(value));
