import { freePort, isFree } from "./free-port.ts";

export type Ports = { api: number; stripe: number; sqs: number; postgres: number };

const NEIGHBOURS = 4;

/** Four neighbours, the API's first: what `npm start` uses, so that its addresses stay over a restart. */
export const portsFrom = (base: number): Ports => ({
  api: base,
  stripe: base + 1,
  sqs: base + 2,
  postgres: base + 3,
});

/** Free ones, for throwaway stacks. */
export const freePorts = async (): Promise<Ports> => portsFrom(await freePort(NEIGHBOURS));

/** The first of these ports that somebody listens on. */
export async function busyPort(ports: Ports): Promise<number | undefined> {
  for (const port of Object.values(ports)) if (!(await isFree(port))) return port;
  return undefined;
}
