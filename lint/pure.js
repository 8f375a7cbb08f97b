import { placeOf } from "./place.js";

/** Where the machine's own time and chance come in. */
const SYSTEM = new Set(["host-agent/system.ts", "cli/system.ts"]);

const TIME = "take `now` as an argument, or from the injected clock";
const CHANCE = "take ids and randomness from what is injected";
const WAITING = "wait through the injected clock";

const CALLS = new Map([
  ["Date", TIME],
  ["Date.now", TIME],
  ["performance.now", TIME],
  ["process.hrtime", TIME],
  ["process.hrtime.bigint", TIME],
  ["Math.random", CHANCE],
  ["randomUUID", CHANCE],
  ["randomBytes", CHANCE],
  ["randomInt", CHANCE],
  ["crypto.randomUUID", CHANCE],
  ["crypto.randomBytes", CHANCE],
  ["crypto.randomInt", CHANCE],
  ["crypto.getRandomValues", CHANCE],
  ["setTimeout", WAITING],
  ["setInterval", WAITING],
]);
const IMPORTS = new Map([
  ["node:timers", WAITING],
  ["node:timers/promises", WAITING],
  ["uuid", CHANCE],
]);

/** `a.b.c` of an expression of names; a leading `globalThis.` changes nothing. */
function dotted(node) {
  if (node.type === "Identifier") return node.name;
  if (node.type !== "MemberExpression" || node.property.type !== "Identifier") return "";
  return `${dotted(node.object)}.${node.property.name}`.replace(/^globalThis\./, "");
}

/** No clock, randomness or waiting of its own (style §11): the simulator owns all three. */
export const pure = {
  create(ctx) {
    if (SYSTEM.has(placeOf(ctx.filename))) return {};
    const report = (node, message) => {
      if (message !== undefined) ctx.report({ node, message });
    };
    return {
      NewExpression(node) {
        if (dotted(node.callee) === "Date" && node.arguments.length === 0) report(node, TIME);
      },
      CallExpression: (node) => report(node, CALLS.get(dotted(node.callee))),
      ImportDeclaration: (node) => report(node, IMPORTS.get(node.source.value)),
    };
  },
};
