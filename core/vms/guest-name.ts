/*
 * The name that a guest is given at its first boot, which is not always the ordered one: Linux takes the first label as its
 * host name and the whole as its domain name; Windows keeps 15 characters of the label (NetBIOS).
 */

/** At most 63 characters, as a label of DNS is; a host name of Linux may have 64. */
export const firstLabel = (hostname: string): string => hostname.split(".")[0] ?? "";

/** The first label in the 15 characters that NetBIOS allows; Windows refuses a name of digits alone. null: nothing is left. */
export function computerName(hostname: string): string | null {
  const label = firstLabel(hostname)
    .replaceAll(/[^A-Za-z0-9-]/g, "-")
    .slice(0, 15);
  const name = label.replaceAll(/^-+|-+$/g, "");
  if (name === "") return null;
  return /^\d+$/.test(name) ? `vm-${name.slice(0, 12)}` : name;
}

const inSmall = (name: string) => firstLabel(name).toLowerCase();

/** Whether a guest that says this name is the one that was given the ordered name, on whatever system. */
export function isGivenName(hostname: string, said: string): boolean {
  const name = inSmall(said);
  return (
    name !== "" && (name === inSmall(hostname) || name === computerName(hostname)?.toLowerCase())
  );
}
