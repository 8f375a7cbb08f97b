/**
 * `npm run release-key -- FILE`: makes the key pair that releases are signed with. The private half goes into FILE, which must not
 * be there and which nobody else may read; printed is the public half, which the control plane tells its hosts.
 */
import { writeFile } from "node:fs/promises";
import { exportJWK, generateKeyPair } from "jose";
import { ReleaseKey } from "./sign-manifest.ts";

const [file] = process.argv.slice(2);
if (file === undefined)
  throw new Error("say where the private key goes: npm run release-key -- FILE");
const { privateKey } = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
const key = ReleaseKey.parse(await exportJWK(privateKey));
await writeFile(file, `${JSON.stringify(key)}\n`, { mode: 0o600, flag: "wx" });
console.log(key.x);
