import { createServer } from "node:net";
import { freePort } from "./free-port.ts";

export type Ports = { api: number; stripe: number; sqs: number; postgres: number };

/** Four neighbours, the API's first: what `npm start` uses, so that its addresses stay over a restart. */
export const portsFrom = (base: number): Ports => ({
  api: base,
  stripe: base + 1,
  sqs: base + 2,
  postgres: base + 3,
});

/** Any free ones, for throwaway stacks. */
export async function freePorts(): Promise<Ports> {
  const [api, stripe, sqs, postgres] = await Promise.all([
    freePort(),
    freePort(),
    freePort(),
    freePort(),
  ]);
  return { api, stripe, sqs, postgres };
}

/** The first of these ports that somebody listens on. */
export async function busyPort(ports: Ports): Promise<number | undefined> {
  for (const port of Object.values(ports)) if (!(await isFree(port))) return port;
  return undefined;
}

const isFree = (port: number) =>
  new Promise<boolean>((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
