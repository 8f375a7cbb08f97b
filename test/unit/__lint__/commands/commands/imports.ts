import "#adapters/sqs.ts"; // refused: commands may not import adapters
import "#functions/app.ts"; // refused: commands may not import functions
import "#webhooks/stripe.ts"; // refused: commands may not import webhooks
import "#host-agent/sync.ts"; // refused: commands may not import host-agent
import "#local/stack.ts"; // refused: commands may not import local
import "#test/builders.ts"; // refused: commands may not import test
