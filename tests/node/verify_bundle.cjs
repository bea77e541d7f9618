// Checks sigstore bundles with @sigstore/verify: node verify_bundle.cjs KEY.pem KEYID < BUNDLES
//
// One bundle per input line, one verdict per output line. Whatever goes wrong otherwise ends the
// program, so that a broken set-up is not mistaken for a rejected signature.

const fs = require('fs');
const { createPublicKey } = require('crypto');
const installed = (name) => require(require.resolve(name, { paths: [process.cwd()] }));
const { bundleFromJSON } = installed('@sigstore/bundle');
const { Verifier, VerificationError, toSignedEntity } = installed('@sigstore/verify');

const [pem, keyId] = process.argv.slice(2);
const publicKey = createPublicKey(fs.readFileSync(pem));
const trust = {
  certificateAuthorities: [],
  timestampAuthorities: [],
  tlogs: [],
  ctlogs: [],
  publicKey: (hint) => {
    if (hint !== keyId) throw new Error(`the bundle names key ${hint}`);
    return { publicKey, validFor: () => true };
  },
};
const verifier = new Verifier(trust, { ctlogThreshold: 0, tlogThreshold: 0, timestampThreshold: 0 });

for (const line of fs.readFileSync(0, 'utf8').trim().split('\n')) {
  const entity = toSignedEntity(bundleFromJSON(JSON.parse(line)));
  try {
    verifier.verify(entity);
    console.log('accepted');
  } catch (error) {
    if (!(error instanceof VerificationError) || error.code !== 'SIGNATURE_ERROR') throw error;
    console.log('rejected');
  }
}
