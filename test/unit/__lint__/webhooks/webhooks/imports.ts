import "#db/orders.ts"; // refused: webhooks may not import db
import "#adapters/stripe.ts"; // refused: webhooks may not import adapters
import "#functions/app.ts"; // refused: webhooks may not import functions
import "#host-agent/sync.ts"; // refused: webhooks may not import host-agent
import "#local/stack.ts"; // refused: webhooks may not import local
