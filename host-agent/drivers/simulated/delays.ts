/** How long the simulated hypervisor takes, in milliseconds. */
export type SimulatedDelays = Readonly<{
  list: number;
  disk: number;
  seed: number;
  define: number;
  start: number;
  firmStop: number;
  undefine: number;
  resize: number;
  /** From power-on until the guest is seen. */
  guestReady: number;
  /** From a graceful stop until the guest is off; null: the guest does not listen. */
  gracefulStop: number | null;
}>;

/** The p50 of libvirt and QEMU without hardware help, measured on Debian 12. */
export const REALISTIC_DELAYS: SimulatedDelays = {
  list: 17,
  disk: 11,
  seed: 7,
  define: 26,
  start: 400,
  firmStop: 240,
  undefine: 22,
  resize: 30,
  guestReady: 3500,
  gracefulStop: 2000,
};

export const NO_DELAYS: SimulatedDelays = {
  list: 0,
  disk: 0,
  seed: 0,
  define: 0,
  start: 0,
  firmStop: 0,
  undefine: 0,
  resize: 0,
  guestReady: 0,
  gracefulStop: 0,
};
