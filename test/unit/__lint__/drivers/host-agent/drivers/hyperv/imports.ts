import "../kvm/driver.ts"; // refused: driver hyperv may not import driver kvm
