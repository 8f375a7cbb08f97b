import "#db/orders.ts"; // refused: functions may not import db
import "#adapters/sqs.ts"; // refused: functions may not import adapters
import "#webhooks/stripe.ts"; // refused: functions may not import webhooks
import "#host-agent/sync.ts"; // refused: functions may not import host-agent
import "../../../local/stack.ts"; // refused: functions may not import local
