import "#core/contracts/problem.ts";
import "#core/contracts/api/vms.ts";
import "#core/ids.ts";
import "#core/money.ts";
import "../api/client.ts";
import "commander";
import "string-width";
