import { eachImport, targetOf } from "./imports.js";
import { placeOf } from "./place.js";

/** The areas, the same by name everywhere (design §10): the command of one may call those of the areas after it. */
const AREAS = [
  "integrations",
  "orders",
  "billing",
  "moves",
  "vms",
  "usage",
  "fleet",
  "hosts",
  "network",
  "catalogue",
  "accounts",
];
/** Called by every area, and calls none: what handles a message is handed to it. */
const MESSAGES = "messages";
const ROOMS = new Set([...AREAS, MESSAGES]);

/** Folder → what else may stand beside its areas. */
const AREA_FOLDERS = {
  core: new Set(["contracts"]),
  commands: new Set(),
  db: new Set(["schema", "migrations"]),
  "test/db": new Set(),
};
/** The schema is one file an area; these serve all. */
const SCHEMA = new Set([...ROOMS, "audit", "columns"]);
/** Routes are grouped by who calls, then by area. */
const CALLERS = new Set(["public", "customer", "staff", "integrations", "agent"]);
/** Of no caller and no area. */
const ROUTES_OF_NONE = new Set(["health.ts"]);
const AGENT_ROOMS = new Set([
  "channel",
  "converge",
  "doctor",
  "images",
  "meter",
  "moves",
  "state",
  "drivers",
  "upgrade",
]);
const CLI_ROOMS = new Set(["api", "commands", "completion", "output"]);
/** What puts the areas together: they are handed what it makes, and import none of it. */
const WIRING = new Set(["commands/runtime.ts", "commands/handle-event.ts"]);

/** Why a file may not stand at `place`; undefined when it may. */
function misplaced(place) {
  for (const [folder, others] of Object.entries(AREA_FOLDERS)) {
    const room = place.startsWith(`${folder}/`) ? roomIn(place.slice(folder.length + 1)) : null;
    if (room !== null && !ROOMS.has(room) && !others.has(room))
      return `${folder}/${room} is no area`;
  }
  const schema = /^db\/schema\/(.+)\.ts$/.exec(place)?.[1];
  if (schema !== undefined && !SCHEMA.has(schema)) return `db/schema/${schema}.ts is no area`;
  const route = /^functions\/routes\/(.+)$/.exec(place)?.[1];
  if (route !== undefined && !ROUTES_OF_NONE.has(route)) {
    const [caller, file, ...more] = route.split("/");
    if (!CALLERS.has(caller)) return `functions/routes/${caller} is no caller`;
    if (more.length > 0 || !ROOMS.has(file?.replace(/\.ts$/, "")))
      return `functions/routes/${caller}/${[file, ...more].join("/")} is no area`;
  }
  const agent = place.startsWith("host-agent/") ? roomIn(place.slice("host-agent/".length)) : null;
  if (agent !== null && !AGENT_ROOMS.has(agent))
    return `host-agent/${agent} is no room of the agent`;
  const cli = place.startsWith("cli/") ? roomIn(place.slice("cli/".length)) : null;
  if (cli !== null && !CLI_ROOMS.has(cli)) return `cli/${cli} is no room of the command line`;
  return undefined;
}

/** The first folder of a path; null for a file. */
const roomIn = (rest) => (rest.includes("/") ? rest.split("/")[0] : null);
const areaOfCommand = (place) => /^commands\/([^/]+)\//.exec(place)?.[1];
const callerOfRoute = (place) => /^functions\/routes\/([^/]+)\//.exec(place)?.[1];

/** Why the file at `place` may not import what is at `target`; undefined when it may. */
function refusal(place, target) {
  const from = areaOfCommand(place);
  if (from !== undefined && WIRING.has(target))
    return `commands of ${from} may not import ${target}`;
  const to = areaOfCommand(target);
  if (from !== undefined && to !== undefined && from !== to && to !== MESSAGES) {
    if (from === MESSAGES) return `messages calls nobody, and so not ${to}`;
    if (AREAS.indexOf(to) < AREAS.indexOf(from))
      return `commands of ${from} may not call those of ${to}`;
  }
  const caller = callerOfRoute(place);
  const other = callerOfRoute(target);
  if (caller !== undefined && other !== undefined && caller !== other)
    return `routes of ${caller} may not import those of ${other}`;
  return undefined;
}

export const rooms = {
  create(ctx) {
    const place = placeOf(ctx.filename);
    return {
      Program(node) {
        const why = misplaced(place);
        if (why !== undefined) ctx.report({ node: node.body[0] ?? node, message: why });
      },
      ...eachImport((node, specifier) => {
        const target = targetOf(specifier, place);
        const why = target === undefined ? undefined : refusal(place, target);
        if (why !== undefined) ctx.report({ node, message: why });
      }),
    };
  },
};
