import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { createApp } from "#cdk/app.ts";
import type { Bundle, FunctionBundles } from "#cdk/bundle/bundle.ts";
import type { Stage } from "#cdk/stage.ts";
import { readTemplate, type ReadTemplate, type Resource } from "./template.ts";

const FOLDER = path.join(import.meta.dirname, "../../.cache/test-stages");

/** Stands for the real bundles, which `bundle.test.ts` makes: the stack only takes folders. */
async function emptyBundles(): Promise<FunctionBundles> {
  const bundle = async (name: string): Promise<Bundle> => {
    const at = path.join(FOLDER, name);
    const file = path.join(at, "index.mjs");
    await mkdir(at, { recursive: true });
    await writeFile(file, `export const handler = async () => ${JSON.stringify(name)};`);
    return { folder: at, file, bytes: 0, packages: [] };
  };
  return {
    api: await bundle("api"),
    "agent-api": await bundle("agent-api"),
    "log-in": await bundle("log-in"),
    "stripe-webhook": await bundle("stripe-webhook"),
    "billing-events": await bundle("billing-events"),
    "outbox-events": await bundle("outbox-events"),
    "mail-events": await bundle("mail-events"),
    sweep: await bundle("sweep"),
    migrate: await bundle("migrate"),
    "add-staff": await bundle("add-staff"),
  };
}

export type Synthesised = ReturnType<typeof createApp> & { template: ReadTemplate };

export type Stages = Readonly<{
  bundles: FunctionBundles;
  of: Readonly<Record<Stage, Synthesised>>;
}>;

async function synthesise(): Promise<Stages> {
  const bundles = await emptyBundles();
  const stage = (name: Stage): Synthesised => {
    const made = createApp({
      bundles,
      context: { stage: name, mailFrom: "berth@example.com", releaseKey: "k".repeat(43) },
    });
    made.app.synth();
    return { ...made, template: readTemplate(made.stack) };
  };
  return { bundles, of: { small: stage("small"), large: stage("large") } };
}

let synthesised: Promise<Stages> | undefined;
/** Both stages, as they would be deployed. Seconds of work: made once for all files that one process runs. */
export const synthesisedStages = (): Promise<Stages> => (synthesised ??= synthesise());

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
