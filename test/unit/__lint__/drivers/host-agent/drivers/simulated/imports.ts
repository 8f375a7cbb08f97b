import "../kvm/driver.ts"; // refused: driver simulated may not import driver kvm
