import "#core/contracts/agent/desired.ts";
import "./sync.ts";
import "./drivers/kvm/driver.ts";
import "xmlbuilder2";
