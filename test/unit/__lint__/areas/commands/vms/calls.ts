import "#commands/billing/book-invoice.ts"; // refused: commands of vms may not call those of billing
import "#commands/integrations/put-service.ts"; // refused: commands of vms may not call those of integrations
import type { Move } from "../moves/begin-move.ts"; // refused: commands of vms may not call those of moves
import "../runtime.ts"; // refused: commands of vms may not import commands/runtime.ts
import "#commands/handle-event.ts"; // refused: commands of vms may not import commands/handle-event.ts
import "../usage/record-usage.ts";
import "#commands/hosts/add-host.ts";
import "#commands/messages/relay-outbox.ts";
import "../deps.ts";
import "./finish-vm.ts";

export const none: Move | null = null;
