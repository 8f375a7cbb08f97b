/** A good id, of which some of the strings make another. */
export const GOOD_ID = "00000000-0000-4000-8000-000000000001";

/** What no text field of any driver may take for anything but text. Every driver's tests use this one list. */
export const HOSTILE: Record<string, string> = {
  "a good id and a newline": `${GOOD_ID}\n`,
  "a good address and a newline": "192.0.2.9\n",
  "a closing quote and a command": "'; Remove-VM *; '",
  "a double quote and a command": '"; Remove-VM -Name * -Force #',
  "a subexpression": "$(Get-VM | Stop-VM -TurnOff -Force)",
  "a variable": "$env:PATH ${env:BERTH_HYPERV_STATE}",
  backticks: "`n`0`$(Remove-VM *)`",
  lines: "a\r\nberth1 e30=\nRemove-VM *\n",
  "a wildcard": "*",
  "a wildcard in a set": "[a-z0-9]*",
  "a question mark": "????????-????-????-????-????????????",
  "a path upwards": "../../../../tmp/x",
  "an option": "--help",
  "a path of Windows": "..\\..\\Windows\\System32",
  "a device name": "CON",
  XML: "]]><VALUE>&x;</VALUE><!--",
  JSON: '{"op":"destroy","vmId":"*"}',
  "64 KB": "x".repeat(65_536),
  NUL: "a\0b",
  "right to left": "\u202egnp.exe\u202c",
  emoji: "🦊👩‍👩‍👧‍👦",
  blanks: "   ",
  nothing: "",
};
