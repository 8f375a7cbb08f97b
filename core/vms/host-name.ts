const HOST_NAME =
  /^(?=.*[a-z])[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/;
const MOST = 253;
/** Letters of any script, in labels; the full stops of UTS #46 separate them. Nothing that has a meaning in a URL. */
const INTERNATIONAL = /^[\p{L}\p{M}\p{N}\-.\u3002\uff0e\uff61]+$/u;

/**
 * The RFC 1123 host name that is meant, in lower case and with at least one letter: what a guest can be called. Capitals, a
 * final dot and blanks around it are folded, and a name in another script becomes its A-labels (IDNA, UTS #46, as in a
 * browser's address bar). Undefined for what is none.
 */
export function foldHostName(text: string): string | undefined {
  const bare = text.trim().replace(/\.$/, "");
  const folded = /^[\x20-\x7e]*$/.test(bare) ? bare.toLowerCase() : aLabelsOf(bare);
  return folded !== undefined && folded.length <= MOST && HOST_NAME.test(folded)
    ? folded
    : undefined;
}

/** Undefined where IDNA refuses it. An address comes out as one, and is no host name. */
function aLabelsOf(name: string): string | undefined {
  if (name.length > MOST || !INTERNATIONAL.test(name)) return undefined;
  const url = URL.parse(`http://${name}/`);
  return url?.hostname.replace(/\.$/, "");
}
