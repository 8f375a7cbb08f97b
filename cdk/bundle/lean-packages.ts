import { readFile } from "node:fs/promises";
import path from "node:path";
import type { OnLoadResult, Plugin } from "esbuild";

/*
 * What Berth's packages carry and Berth never calls, left out of the bundles: 660 KB of the API's 1,600.
 * A part that is left out is replaced by stand-ins with the same names, so that everything still links; using one
 * throws an error that names it and this file. `test/cdk/bundle.test.ts` holds the bundles' sizes, runs the API's
 * bundle, and checks every Stripe call that the adapters make against the lean client.
 */

/** Resources of Stripe's API that a seller of VPSs may use. The client instantiates all 150, so none falls to tree shaking. */
const STRIPE_KEPT =
  /^(Billing|BillingPortal|Checkout)[\\/]|^(Charges|Coupons|CreditNotes|Customers|Disputes|Events|InvoiceItems|InvoicePayments|Invoices|PaymentIntents|PaymentMethods|Prices|Products|PromotionCodes|Refunds|SetupIntents|SubscriptionItems|SubscriptionSchedules|Subscriptions|TaxRates|WebhookEndpoints)\.js$/;

type Rule = Readonly<{ file: RegExp; load: (source: string, file: string) => string | undefined }>;

const RULES: readonly Rule[] = [
  {
    // Our own files: see `shakeZod`.
    file: /\.ts$/,
    load: shakeZod,
  },
  {
    // It exports the namespace again, which nobody reads any more, and adds `.openapi()` to one class of it.
    file: /[\\/]@hono[\\/]zod-openapi[\\/]dist[\\/]index\.mjs$/,
    load: (source) =>
      source
        .replace(`import { z } from "zod";`, `import { ZodType } from "zod";`)
        .replace("extendZodWithOpenApi(z);", "extendZodWithOpenApi({ ZodType });")
        .replace(/^(export \{.*), z \};$/m, "$1 };"),
  },
  {
    // Berth has no social log-in; better-auth imports all 37 providers to know their names.
    file: /[\\/]@better-auth[\\/]core[\\/]dist[\\/]social-providers[\\/]index\.mjs$/,
    load: () => `import * as z from "zod";
      export const socialProviders = {};
      export const socialProviderList = [];
      export const SocialProviderListEnum = z.string();`,
  },
  {
    // Off in `adapters/log-ins-auth.ts`, and so is its code: a client that reports nothing.
    file: /[\\/]@better-auth[\\/]telemetry[\\/]dist[\\/]node\.mjs$/,
    load: () => `export const createTelemetry = async () => ({ publish: async () => {} });
      export const getTelemetryAuthConfig = () => ({});`,
  },
  {
    // The database of those who configured none.
    file: /[\\/]@better-auth[\\/]memory-adapter[\\/]dist[\\/]index\.mjs$/,
    load: leaveOut,
  },
  {
    // Routes that `adapters/log-ins-http.ts` does not serve, and what only they use. The router skips stand-ins.
    file: /[\\/]better-auth[\\/]dist[\\/](api[\\/]routes[\\/](account|callback|error)|oauth2[\\/]link-account)\.mjs$/,
    load: leaveOut,
  },
  {
    // Serves an OpenAPI page of better-auth's own; better-auth itself switches it off.
    file: /[\\/]better-call[\\/]dist[\\/]openapi\.mjs$/,
    load: leaveOut,
  },
  {
    // Descriptions of better-auth's routes for its own OpenAPI plugin. Ours are in `functions/routes/public/accounts.ts`.
    file: /[\\/]better-auth[\\/]dist[\\/](api|plugins)[\\/].*\.mjs$/,
    load: dropOpenapiMetadata,
  },
  {
    // The table of every resource's class, for `Stripe.resources`; the client itself needs one of them.
    file: /[\\/]stripe[\\/]esm[\\/]resources\.js$/,
    load: () => `export { OAuthResource } from "./resources/OAuth.js";`,
  },
  {
    file: /[\\/]stripe[\\/]esm[\\/]resources[\\/].*\.js$/,
    load: (source, file) => {
      const resource = file.split(/[\\/]stripe[\\/]esm[\\/]resources[\\/]/)[1] ?? "";
      return STRIPE_KEPT.test(resource) ? undefined : leaveOut(source, file);
    },
  },
  {
    // Dispatches Stripe's thin (v2) events. Ours are v1 snapshots, fetched again by id.
    file: /[\\/]stripe[\\/]esm[\\/]StripeEventNotificationHandler\.js$/,
    load: leaveOut,
  },
  {
    // Signs messages of event streams. Secrets are asked for by requests.
    file: /[\\/]@smithy[\\/]signature-v4[\\/]dist-es[\\/]HeaderFormatter\.js$/,
    load: leaveOut,
  },
  {
    // The other engine (libpq, which is not installed) and the reader of ~/.pgpass: CommonJS, required on first use.
    file: /[\\/](pg[\\/]lib[\\/]native[\\/]index|pgpass[\\/]lib[\\/]index)\.js$/,
    load: (_, file) => `throw new Error(${JSON.stringify(`${file} ${WAS_LEFT_OUT}`)});`,
  },
];

const WAS_LEFT_OUT = "was left out of this bundle: see cdk/bundle/lean-packages.ts";
const LEFT_OUT = "berth:left-out";
/** A stand-in that may be constructed and passed around, and that throws as soon as something is asked of it. */
const LEFT_OUT_SOURCE = `
  export const leftOut = (name) => class {
    constructor() {
      const refuse = () => { throw new Error(name + " was left out of this bundle: see cdk/bundle/lean-packages.ts"); };
      return new Proxy(refuse, { get: refuse, set: refuse });
    }
  };`;

/** The module with every export replaced by a stand-in. Throws for a module whose exports it cannot read. */
function leaveOut(source: string, file: string): string {
  const names = exportedNames(source);
  if (names.length === 0 && !/^export \{\s*\};?$/m.test(source))
    throw new Error(`${file}: no exports found to leave out`);
  const from = path.basename(file).replace(/\.m?js$/, "");
  return [
    `import { leftOut } from "${LEFT_OUT}";`,
    ...names.map(
      (name) =>
        `export const ${name} = /* @__PURE__ */ leftOut(${JSON.stringify(`${from} ${name}`)});`,
    ),
  ].join("\n");
}

function exportedNames(source: string): string[] {
  const declared = source.matchAll(/^export (?:async )?(?:class|function\*?|const|let) (\w+)/gm);
  const listed = [...source.matchAll(/^export \{([^}]*)\}/gm)].flatMap((m) =>
    (m[1] ?? "").split(","),
  );
  return [
    ...[...declared].map((m) => m[1] ?? ""),
    ...listed.map((name) => (name.split(" as ")[1] ?? name).trim()),
  ].filter((name) => name !== "");
}

/**
 * `import { z } from "zod"` is an object with all of zod to esbuild; of `import * as z` it keeps what is used. Both
 * mean the same. zod-openapi's own `z` is zod's, and is imported for its side effect: schemas get `.openapi()`.
 */
function shakeZod(source: string): string {
  return source.replaceAll(
    /^import \{([^}]*)\} from "(zod|@hono\/zod-openapi)";$/gm,
    (whole, list: string, from: string) => {
      const names = list.split(",").map((name) => name.trim());
      if (!names.includes("z")) return whole;
      const others = names.filter((name) => name !== "z" && name !== "");
      return [
        `import * as z from "zod";`,
        ...(from === "zod" ? [] : [`import "${from}";`]),
        ...(others.length === 0 ? [] : [`import { ${others.join(", ")} } from "${from}";`]),
      ].join(" ");
    },
  );
}

/**
 * `metadata: { openapi: {…} }` → `metadata: {}`. The packages are formatted by a printer, so an object ends at the
 * first closing line that is indented as its opening line was.
 */
function dropOpenapiMetadata(source: string): string {
  return source
    .replaceAll(/^(\t+)metadata: \{ openapi: \{\n[^]*?\n\1\} \}(,?)$/gm, "$1metadata: {}$2")
    .replaceAll(/^(\t+)openapi: \{\n[^]*?\n\1\}(,?)$/gm, "$1openapi: {}$2");
}

/** esbuild plugin: modules of ours do nothing when they are loaded, so one that nothing is taken from is left out. */
export const ourSources: Plugin = {
  name: "berth-our-sources",
  setup(build) {
    build.onResolve({ filter: /^(#|\.).*\.ts$/ }, async ({ path, pluginData, ...where }) => {
      if (pluginData === ourSources) return undefined;
      const { importer, kind, namespace, resolveDir } = where;
      const options = { importer, kind, namespace, resolveDir, pluginData: ourSources };
      return { ...(await build.resolve(path, options)), sideEffects: false };
    });
  },
};

/** esbuild plugin: leaves out what `RULES` name. */
export const leanPackages: Plugin = {
  name: "berth-lean-packages",
  setup(build) {
    build.onResolve({ filter: new RegExp(`^${LEFT_OUT}$`) }, () => ({
      path: LEFT_OUT,
      namespace: "berth",
      sideEffects: false,
    }));
    build.onLoad({ filter: /.*/, namespace: "berth" }, () => ({ contents: LEFT_OUT_SOURCE }));
    for (const { file, load } of RULES)
      build.onLoad({ filter: file }, async (args): Promise<OnLoadResult | undefined> => {
        const contents = load(await readFile(args.path, "utf8"), args.path);
        return contents === undefined
          ? undefined
          : {
              contents,
              loader: args.path.endsWith(".ts") ? "ts" : "js",
              resolveDir: path.dirname(args.path),
            };
      });
  },
};

/**
 * esbuild plugin: `node:http` is required instead of imported. An import reads each of the module's exports at once, and
 * one of them is a getter that loads the whole of undici: 14 ms of every cold start, for a WebSocket that nobody opens.
 */
export const requiredHttp: Plugin = {
  name: "berth-required-http",
  setup(build) {
    build.onResolve({ filter: /^(node:)?http$/ }, ({ kind }) =>
      kind === "import-statement" ? { path: "node:http", namespace: "berth-required" } : undefined,
    );
    build.onLoad({ filter: /.*/, namespace: "berth-required" }, () => ({
      contents: `module.exports = require("node:http");`,
    }));
  },
};
