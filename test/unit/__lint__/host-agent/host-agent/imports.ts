import "#db/orders.ts"; // refused: host-agent may not import db
import "#adapters/sqs.ts"; // refused: host-agent may not import adapters
import "#commands/place-order.ts"; // refused: host-agent may not import commands
import "#functions/app.ts"; // refused: host-agent may not import functions
import "#local/stack.ts"; // refused: host-agent may not import local
