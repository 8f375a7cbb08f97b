import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { createApp } from "#cdk/app.ts";
import type { Bundle, FunctionBundles } from "#cdk/bundle/bundle.ts";
import type { Stage } from "#cdk/stage.ts";
import { readTemplate, type ReadTemplate, type Resource } from "./template.ts";

/** Stands for the real bundles, which `bundle.test.ts` makes: the stack only takes folders. */
export async function emptyBundles(): Promise<{
  bundles: FunctionBundles;
  drop: () => Promise<void>;
}> {
  const folder = await mkdtemp(path.join(os.tmpdir(), "berth-cdk-"));
  const bundle = async (name: string): Promise<Bundle> => {
    const at = path.join(folder, name);
    const file = path.join(at, "index.mjs");
    await mkdir(at);
    await writeFile(file, `export const handler = async () => ${JSON.stringify(name)};`);
    return { folder: at, file, bytes: 0, packages: [] };
  };
  return {
    bundles: {
      api: await bundle("api"),
      "log-in": await bundle("log-in"),
      "stripe-webhook": await bundle("stripe-webhook"),
      "billing-events": await bundle("billing-events"),
      "outbox-events": await bundle("outbox-events"),
      sweep: await bundle("sweep"),
      migrate: await bundle("migrate"),
    },
    drop: () => rm(folder, { recursive: true, force: true }),
  };
}

export type Synthesised = ReturnType<typeof createApp> & { template: ReadTemplate };

/** Both stages, as they would be deployed. */
export function synthesiseStages(bundles: FunctionBundles): Readonly<Record<Stage, Synthesised>> {
  const synthesise = (stage: Stage): Synthesised => {
    const made = createApp({ bundles, context: { stage } });
    made.app.synth();
    return { ...made, template: readTemplate(made.stack) };
  };
  return { small: synthesise("small"), large: synthesise("large") };
}

/** The product's own Lambdas: the CDK brings one more, which calls the migration. */
export const berthFunctions = (template: ReadTemplate): Resource[] =>
  template
    .ofType("AWS::Lambda::Function")
    .filter((f) => String(f.Properties["Description"]).startsWith("Berth: "));

export function functionCalled(template: ReadTemplate, id: string): Resource {
  const found = berthFunctions(template).find(
    (f) => f.Properties["Description"] === `Berth: ${id}`,
  );
  if (found === undefined) throw new Error(`no function ${id}`);
  return found;
}
