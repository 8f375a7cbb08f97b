import { accountCommands } from "./accounts.ts";
import { actionCommands } from "./actions.ts";
import { apiCommands } from "./api.ts";
import { billingCommands } from "./billing.ts";
import { catalogueCommands } from "./catalogue.ts";
import type { Command } from "./command.ts";
import { completionCommands } from "./completion.ts";
import { contextCommands } from "./contexts.ts";
import { deskCommands } from "./desk.ts";
import { drainCommands } from "./drains.ts";
import { fleetCommands } from "./fleet.ts";
import { hostMoveCommands } from "./host-moves.ts";
import { hostCommands } from "./hosts.ts";
import { mailCommands } from "./mails.ts";
import { moveCommands } from "./moves.ts";
import { orderCommands } from "./orders.ts";
import { planMigrationCommands } from "./plan-migrations.ts";
import { resizeCommands } from "./resize.ts";
import { vmCommands } from "./vms.ts";

/** Every command there is: a new one is a row in the file of its area. */
export const COMMANDS: readonly Command[] = [
  ...contextCommands,
  ...catalogueCommands,
  ...orderCommands,
  ...vmCommands,
  ...resizeCommands,
  ...actionCommands,
  ...billingCommands,
  ...accountCommands,
  ...deskCommands,
  ...mailCommands,
  ...hostCommands,
  ...hostMoveCommands,
  ...moveCommands,
  ...drainCommands,
  ...fleetCommands,
  ...planMigrationCommands,
  ...apiCommands,
  ...completionCommands,
];

/** What stands before a verb, as help says it. */
export const GROUPS: Readonly<Record<string, string>> = {
  context: "Which Berth, and as whom",
  plan: "What is on sale",
  catalogue: "What is on sale, as a file",
  image: "What VMs are made from",
  location: "Where VMs run",
  order: "Orders",
  vm: "VMs",
  action: "What is done with VMs",
  invoice: "Invoices",
  billing: "What you pay with",
  token: "API tokens",
  account: "Accounts",
  "destroy-request": "Destroying by two",
  mail: "What customers were mailed",
  audit: "Who changed what",
  host: "Hosts",
  move: "Moving VMs between hosts",
  finding: "What is amiss",
  release: "Releases of the agent",
  rollout: "Bringing them to hosts",
  "plan-migration": "Bringing VMs to another plan",
};
