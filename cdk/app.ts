import path from "node:path";
import { App } from "aws-cdk-lib";
import flags from "aws-cdk-lib/recommended-feature-flags.json" with { type: "json" };
import { z } from "zod";
import { CURRENCIES } from "#core/currencies.ts";
import { PublicKeyX } from "#core/contracts/public-key.ts";
import { BerthStack } from "./berth-stack.ts";
import { bundleFunctions, type FunctionBundles } from "./bundle/bundle.ts";
import { ENTRANCE_KEYS } from "./constructs/front.ts";
import { EDGE_REGION, EdgeStack } from "./edge-stack.ts";
import { STAGES } from "./stage.ts";

/*
 * The CDK's app. `npm run synth` uses it in its own process; the CDK's command line runs this file, and hands on
 * what `-c` says: npx aws-cdk@2 deploy --app "node cdk/app.ts" -c stage=small -c alarmEmail=ops@example.com
 */

/** A certificate that CloudFront can read. */
const OF_EDGE = new RegExp(`^arn:[a-z-]+:acm:${EDGE_REGION}:`);

/** What a deployment may choose (`-c name=value`). */
const Context = z.object({
  stage: z.enum(STAGES),
  alarmEmail: z.email().optional(),
  mailFrom: z.email().optional(),
  releaseKey: PublicKeyX.optional(),
  oneMayDestroy: z.literal("yes").optional(),
  currency: z.enum(CURRENCIES).optional(),
  entranceKey: z.enum(ENTRANCE_KEYS).default("a"),
  domain: z
    .union([
      z.object({ name: z.string(), certificateArn: z.string().regex(OF_EDGE) }),
      z.object({ name: z.undefined(), certificateArn: z.undefined() }),
    ])
    .transform((d) => (d.name === undefined ? undefined : d)),
});

/** The app with the stack that its context asks for, and what stands before it at CloudFront. Throws when the context does not fit. */
export function createApp(props: {
  bundles: FunctionBundles;
  /** Beside what the command line says. */
  context?: Readonly<Record<string, string>>;
  /** Where the cloud assembly goes; the command line's choice when left out. */
  outdir?: string;
}): { app: App; stack: BerthStack; edge: EdgeStack } {
  const app = new App({
    // What `cdk init` gives to a new app; without them the library behaves as in 2021.
    context: { ...flags, ...props.context },
    analyticsReporting: false,
    treeMetadata: false,
    ...(props.outdir === undefined ? {} : { outdir: props.outdir }),
  });
  const given = (name: string): unknown => app.node.tryGetContext(name);
  const context = Context.parse({
    stage: given("stage"),
    alarmEmail: given("alarmEmail"),
    mailFrom: given("mailFrom"),
    releaseKey: given("releaseKey"),
    oneMayDestroy: given("oneMayDestroy"),
    currency: given("currency"),
    entranceKey: given("entranceKey"),
    domain: { name: given("domainName"), certificateArn: given("certificateArn") },
  });
  const stack = new BerthStack(app, `Berth-${context.stage}`, {
    ...context,
    bundles: props.bundles,
    description: `Berth, stage ${context.stage}`,
    terminationProtection: context.stage === "large",
  });
  const edge = new EdgeStack(app, `Berth-${context.stage}-edge`, {
    description: `Berth, stage ${context.stage}: what stands before it at CloudFront`,
    terminationProtection: context.stage === "large",
  });
  return { app, stack, edge };
}

/** Where the stacks take the Lambdas' bundles from. */
export const DIST = path.join(import.meta.dirname, "..", "dist");

if (import.meta.main) createApp({ bundles: await bundleFunctions(DIST) }).app.synth();
