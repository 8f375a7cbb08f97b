import "#db/orders.ts"; // refused: adapters may not import db
import "#commands/place-order.ts"; // refused: adapters may not import commands
import "#functions/app.ts"; // refused: adapters may not import functions
import "#webhooks/stripe.ts"; // refused: adapters may not import webhooks
import "#host-agent/sync.ts"; // refused: adapters may not import host-agent
import "#local/stack.ts"; // refused: adapters may not import local
