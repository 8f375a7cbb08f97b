import "../hyperv/driver.ts"; // refused: driver kvm may not import driver hyperv
import "#host-agent/drivers/simulated/driver.ts"; // refused: driver kvm may not import driver simulated
