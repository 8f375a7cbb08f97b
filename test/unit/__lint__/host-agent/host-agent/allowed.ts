import "#core/contracts/agent.ts";
import "./sync.ts";
import "./drivers/kvm/driver.ts";
import "xmlbuilder2";
