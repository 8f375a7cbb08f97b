import { rm } from "node:fs/promises";
import path from "node:path";
import { SynthesisMessageLevel } from "aws-cdk-lib/cx-api";
import { bundleFunctions } from "./bundle/bundle.ts";
import { createApp, DIST } from "./app.ts";
import { nagFindings } from "./nag.ts";
import { STAGES } from "./stage.ts";

/*
 * `npm run synth`: both stages into `cdk.out/<stage>`, with no account, network or CDK command line. Prints what was
 * made, and every finding of cdk-nag that is not acknowledged; any finding, and any error of the CDK's own, exits 1.
 */

const OUT = path.join(import.meta.dirname, "..", "cdk.out");

const bundles = await bundleFunctions(DIST);
console.log("Lambda           KB");
for (const [name, { bytes }] of Object.entries(bundles))
  console.log(`${name.padEnd(16)} ${(bytes / 1000).toFixed(0)}`);

let failed = false;
for (const stage of STAGES) {
  const outdir = path.join(OUT, stage);
  await rm(outdir, { recursive: true, force: true });
  const { app, stack } = createApp({ bundles, context: { stage }, outdir });
  const made = app.synth().getStackByName(stack.stackName);
  const findings = nagFindings(app);
  const errors = made.messages.filter((message) => message.level === SynthesisMessageLevel.ERROR);
  console.log(
    `\n${stack.stackName}: ${countResources(made.template)} resources, ${findings.length} findings, in ${path.relative(process.cwd(), outdir)}`,
  );
  for (const line of [...findings, ...errors.map((e) => `${e.id} ${JSON.stringify(e.entry.data)}`)])
    console.error(`  ${line}`);
  failed ||= findings.length + errors.length > 0;
}
if (failed) process.exitCode = 1;

function countResources(template: { Resources?: object }): number {
  return Object.keys(template.Resources ?? {}).length;
}
