import "#commands/accounts/create-token.ts"; // refused: messages calls nobody, and so not accounts
import "../orders/place-order.ts"; // refused: messages calls nobody, and so not orders
import "./answer-once.ts";
import "../deps.ts";
