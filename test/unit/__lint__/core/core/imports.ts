import "#db/orders.ts"; // refused: core may not import db
import "#adapters/sqs.ts"; // refused: core may not import adapters
import "#commands/place-order.ts"; // refused: core may not import commands
import "#functions/app.ts"; // refused: core may not import functions
import "#webhooks/stripe.ts"; // refused: core may not import webhooks
import "#host-agent/sync.ts"; // refused: core may not import host-agent
import "#cdk/app.ts"; // refused: core may not import cdk
import "#local/stack.ts"; // refused: core may not import local
import "#test/builders.ts"; // refused: core may not import test
import "../db/orders.ts"; // refused: core may not import db
import "../scripts/verify.ts"; // refused: core may not import scripts
import "node:fs"; // refused: core is pure: it may not import node:fs
import "node:crypto"; // refused: core is pure: it may not import node:crypto
import "hono"; // refused: core is pure: it may not import hono
import "stripe"; // refused: core is pure: it may not import stripe
export type { Order } from "#db/orders.ts"; // refused: core may not import db
export * from "#db/orders.ts"; // refused: core may not import db
export const later = import("#db/orders.ts"); // refused: core may not import db
export const old: unknown = require("#db/orders.ts"); // refused: core may not import db
export type Shape = import("#db/orders.ts").Shape; // refused: core may not import db
