/** Who a VM is to a driver: both must match the tag that the hypervisor holds. */
export type VmRef = Readonly<{ vmId: string; ownerEpoch: number }>;
