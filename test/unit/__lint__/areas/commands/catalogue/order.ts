import "../integrations/verb.ts"; // refused: commands of catalogue may not call those of integrations
import "../orders/verb.ts"; // refused: commands of catalogue may not call those of orders
import "../billing/verb.ts"; // refused: commands of catalogue may not call those of billing
import "../moves/verb.ts"; // refused: commands of catalogue may not call those of moves
import "../vms/verb.ts"; // refused: commands of catalogue may not call those of vms
import "../usage/verb.ts"; // refused: commands of catalogue may not call those of usage
import "../hosts/verb.ts"; // refused: commands of catalogue may not call those of hosts
import "../network/verb.ts"; // refused: commands of catalogue may not call those of network
import "../accounts/verb.ts";
