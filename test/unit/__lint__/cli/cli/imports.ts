import "#db/orders.ts"; // refused: cli may not import db
import "#adapters/sqs.ts"; // refused: cli may not import adapters
import "#commands/place-order.ts"; // refused: cli may not import commands
import "#functions/app.ts"; // refused: cli may not import functions
import "#host-agent/main.ts"; // refused: cli may not import host-agent
import "#local/client.ts"; // refused: cli may not import local
import "#core/vms/status.ts"; // refused: cli may not import core/vms/status.ts
import type { Vm } from "../core/vms/vm.ts"; // refused: cli may not import core/vms/vm.ts
export type { Order } from "#core/orders/order.ts"; // refused: cli may not import core/orders/order.ts
import "stripe"; // refused: cli/imports.ts may not import the SDK stripe
import "hono/client"; // refused: cli/imports.ts may not import the SDK hono/client
export type Here = Vm;
