import "#adapters/sqs.ts"; // refused: db may not import adapters
import "#commands/place-order.ts"; // refused: db may not import commands
import "#functions/app.ts"; // refused: db may not import functions
import "#webhooks/stripe.ts"; // refused: db may not import webhooks
import "#host-agent/sync.ts"; // refused: db may not import host-agent
import "#local/stack.ts"; // refused: db may not import local
import "#test/builders.ts"; // refused: db may not import test
