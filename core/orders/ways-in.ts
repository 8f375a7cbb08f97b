import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import type { OsFamily } from "#core/vms/vm.ts";

/**
 * Whether anybody could get into the VM that is ordered. Windows has its administrator's first password in any case; a Linux
 * guest is given root's where the order asks for one; any other has its SSH keys alone.
 */
export function decideWaysIn(
  os: OsFamily,
  asked: { sshKeys: readonly string[]; password: boolean },
): Result<void, Refusal<"ssh_key_missing" | "password_unavailable">> {
  if (asked.password && os === "freebsd")
    return refuse("password_unavailable", "this image takes SSH keys only");
  if (os === "windows" || asked.password || asked.sshKeys.length > 0) return ok(undefined);
  return refuse(
    "ssh_key_missing",
    os === "linux"
      ? "give an SSH key, or ask for a password that is shown once (`password: true`)"
      : "give an SSH key: nobody could get in without one",
  );
}
