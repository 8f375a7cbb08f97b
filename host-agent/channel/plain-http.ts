/**
 * Whether what is sent to this URL leaves the machine unencrypted: a report, and the credentials that its answer brings. Of
 * plain http only the machine's own addresses are let through, as names can lead anywhere.
 */
export function isPlainToRemote(url: URL): boolean {
  if (url.protocol === "https:") return false;
  return !/^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(url.hostname);
}
