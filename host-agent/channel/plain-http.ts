/**
 * Whether what is sent to this URL leaves the machine unencrypted: a report, and the credentials that its answer brings. Of
 * plain http only the machine's own addresses are let through, as names can lead anywhere.
 */
export function isPlainToRemote(url: URL): boolean {
  if (url.protocol === "https:") return false;
  return !/^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(url.hostname);
}

/** Why this cannot be where the control plane is; null when it can. */
export function apiFault(api: string): string | null {
  const url = URL.parse(api);
  if (url === null || !/^https?:$/.test(url.protocol)) return `is not an http(s) URL: ${api}`;
  return isPlainToRemote(url)
    ? `is plain http to another machine, which anybody between could read and change: use https (${api})`
    : null;
}
