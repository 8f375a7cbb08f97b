import "../integrations/verb.ts"; // refused: commands of moves may not call those of integrations
import "../orders/verb.ts"; // refused: commands of moves may not call those of orders
import "../billing/verb.ts"; // refused: commands of moves may not call those of billing
import "../vms/verb.ts";
import "../usage/verb.ts";
import "../hosts/verb.ts";
import "../network/verb.ts";
import "../catalogue/verb.ts";
import "../accounts/verb.ts";
