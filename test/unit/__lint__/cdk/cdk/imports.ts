import "#functions/app.ts"; // refused: cdk may not import functions
import "#commands/runtime.ts"; // refused: cdk may not import commands
import "#db/orders.ts"; // refused: cdk may not import db
import "#adapters/sqs.ts"; // refused: cdk may not import adapters
import "#host-agent/main.ts"; // refused: cdk may not import host-agent
