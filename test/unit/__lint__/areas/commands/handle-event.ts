import "./orders/refund-order.ts";
import "./messages/relay-outbox.ts";
