import { randomBytes } from "node:crypto";
import { lstat, mkdir, readFile } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import { writeWhole } from "./write-whole.ts";

const secret = () => randomBytes(24).toString("hex");

/** The local stack's own secrets and clock, kept in its folder so that a restart goes on. */
const Saved = z.strictObject({
  /** Of the database's owner. */
  databasePassword: z.string(),
  /** Of the product's own log-in there. A folder of before there was one gets it at its next start. */
  functionsPassword: z.string().default(() => secret()),
  stripeKey: z.string(),
  webhookSecret: z.string(),
  authSecret: z.string().min(32),
  sealingSecret: z.string().min(32),
  clockOffsetMs: z.number(),
  tokens: z
    .strictObject({ customer: z.string(), staff: z.string(), integration: z.string() })
    .nullable(),
});
export type Saved = z.infer<typeof Saved>;

/** The folder holds something that the stack did not write, or that was cut short. The message is one clear line. */
export class CorruptFolder extends Error {
  override name = "CorruptFolder";
}

const fileIn = (folder: string) => path.join(folder, "secrets.json");
const exists = (file: string) =>
  lstat(file).then(
    () => true,
    () => false,
  );

export async function loadSaved(folder: string): Promise<Saved> {
  await mkdir(folder, { recursive: true });
  let text: string;
  try {
    text = await readFile(fileIn(folder), "utf8");
  } catch {
    if (await exists(path.join(folder, "postgres")))
      throw new CorruptFolder(
        `${fileIn(folder)} is missing, and with it the database's password; move ${folder} away to begin anew`,
      );
    const fresh: Saved = {
      databasePassword: secret(),
      functionsPassword: secret(),
      stripeKey: `sk_test_${secret()}`,
      webhookSecret: `whsec_${secret()}`,
      authSecret: secret(),
      sealingSecret: secret(),
      clockOffsetMs: 0,
      tokens: null,
    };
    await save(folder, fresh);
    return fresh;
  }
  try {
    return Saved.parse(JSON.parse(text));
  } catch (cause) {
    throw new CorruptFolder(
      `${fileIn(folder)} is not what \`npm start\` writes; move ${folder} away to begin anew`,
      { cause },
    );
  }
}

export async function save(folder: string, saved: Saved): Promise<void> {
  await writeWhole(fileIn(folder), JSON.stringify(saved, null, 2));
}
