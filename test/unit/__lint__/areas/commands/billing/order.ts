import "../integrations/verb.ts"; // refused: commands of billing may not call those of integrations
import "../orders/verb.ts"; // refused: commands of billing may not call those of orders
import "../moves/verb.ts";
import "../vms/verb.ts";
import "../usage/verb.ts";
import "../hosts/verb.ts";
import "../network/verb.ts";
import "../catalogue/verb.ts";
import "../accounts/verb.ts";
