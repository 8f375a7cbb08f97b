import { isIP } from "node:net";
import { mayBeDialled } from "#core/hosts/image-peers.ts";
import { listenAddress } from "#host-agent/serve-metrics.ts";

/** Where images are served, as the control plane passes it on; null: `text` is no such address. */
export function servingAddress(text: string): { address: string; port: number } | null {
  const at = listenAddress(text);
  if (at === null || at.port === 0 || isIP(at.host) === 0 || !mayBeDialled(at.host)) return null;
  // One spelling, by which the control plane knows it again.
  const address =
    isIP(at.host) === 4
      ? at.host
      : (URL.parse(`http://[${at.host}]/`)?.hostname.slice(1, -1) ?? at.host);
  return { address, port: at.port };
}
