import "../integrations/verb.ts"; // refused: commands of orders may not call those of integrations
import "../billing/verb.ts";
import "../moves/verb.ts";
import "../vms/verb.ts";
import "../usage/verb.ts";
import "../hosts/verb.ts";
import "../network/verb.ts";
import "../catalogue/verb.ts";
import "../accounts/verb.ts";
