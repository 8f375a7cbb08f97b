import { eachImport, targetOf } from "./imports.js";
import { placeOf } from "./place.js";

/** folder → the folders of ours it may import, besides itself. */
const LAYERS = {
  core: [],
  db: ["core"],
  adapters: ["core"],
  commands: ["core", "db"],
  functions: ["commands", "core"],
  webhooks: ["commands", "core"],
  "host-agent": ["core"],
  cdk: ["core"],
  cli: ["core"],
};
/** These may import everything: what runs the whole product on one machine, and what tests or builds it. */
const ANY = ["local", "test", "scripts"];
const FOLDERS = new Set([...Object.keys(LAYERS), ...ANY]);

/** Folder → what of another folder it may import, where that is not all of it. */
const ONLY = {
  // The command line is a client like any other: it knows the API's wire and how money reads, and decides nothing that Berth decides.
  cli: { core: /^core\/(contracts\/|ids\.ts$|money(-text)?\.ts$)/ },
};

/** More for single files, each with its reason. */
const EXTRA = {
  "commands/runtime.ts": ["adapters"], // the composition root
};

/** Packages that reach the outside, and the only places that may import them. */
const PACKAGES = [
  { match: /^stripe($|\/)/, only: /^(adapters|local|test)\// },
  {
    match: /^@(aws-sdk|smithy)\//,
    only: /^(adapters|local|test)\/|^host-agent\/channel\/doorbell\.ts$/,
  },
  { match: /^@?better-auth($|\/)/, only: /^(adapters|local|test)\// },
  {
    match: /^(drizzle-orm|drizzle-kit|pg)($|\/)/,
    only: /^(db|adapters|local|test|scripts)\/|^commands\/runtime\.ts$/,
  },
  { match: /^@aws-lambda-powertools\//, only: /^adapters\// },
  {
    match: /^(hono|@hono\/node-server)($|\/)/,
    only: /^(functions|webhooks|local|test)\/|^adapters\/session-cookies\.ts$/,
  },
  { match: /^(aws-cdk-lib|cdk-nag|constructs)($|\/)/, only: /^(cdk|test)\// },
  { match: /^(fauxqs|@electric-sql\/pglite)($|\/)/, only: /^(local|test)\// },
  { match: /^(commander|string-width)($|\/)/, only: /^(cli|test)\// },
];

/** What core may import from outside: zod, and zod with OpenAPI names for the wire contracts. */
const CORE_PACKAGES = /^(zod|@hono\/zod-openapi)$/;
const DRIVER = /^host-agent\/drivers\/([^/]+)\//;
/** A test may stand beside the file that it tests (design §4); it is a test all the same. */
const BESIDE = /\.test\.ts$/;

const folderOf = (place) => {
  const [top] = place.split("/");
  return FOLDERS.has(top) ? top : undefined;
};

/** Why `place` may not import `specifier`; undefined when it may. */
function refusal(place, specifier) {
  const from = folderOf(place);
  if (from === undefined) return undefined;
  const isTest = BESIDE.test(place);
  const target = targetOf(specifier, place);
  if (target === undefined) {
    if (isTest) return undefined;
    if (from === "core" && !CORE_PACKAGES.test(specifier))
      return `core is pure: it may not import ${specifier}`;
    const rule = PACKAGES.find((p) => p.match.test(specifier));
    return rule && !rule.only.test(place)
      ? `${place} may not import the SDK ${specifier}`
      : undefined;
  }
  const mine = DRIVER.exec(place)?.[1];
  const theirs = DRIVER.exec(target)?.[1];
  if (mine && theirs && mine !== theirs) return `driver ${mine} may not import driver ${theirs}`;
  const to = folderOf(target);
  if (to === undefined || to === from || isTest || ANY.includes(from)) return undefined;
  const allowed = [...LAYERS[from], ...(EXTRA[place] ?? [])];
  if (!allowed.includes(to)) return `${from} may not import ${to}`;
  const only = ONLY[from]?.[to];
  return only === undefined || only.test(target) ? undefined : `${from} may not import ${target}`;
}

export const layers = {
  create(ctx) {
    const place = placeOf(ctx.filename);
    return eachImport((node, specifier) => {
      const why = refusal(place, specifier);
      if (why !== undefined) ctx.report({ node, message: why });
    });
  },
};
