/** As what a disk leaves its host: what the other end's hypervisor reads. Where the two differ, the KVM end converts. */
export const DISK_FORMATS = ["qcow2", "vhdx", "simulated"] as const;
export type DiskFormat = (typeof DISK_FORMATS)[number];
