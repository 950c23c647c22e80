// SPDX-License-Identifier: Apache-2.0
// verify FILE...      each verifies, and each of its texts changed does not
// issue IN OUT [BAD]  IN's claims under new did:keys, signed here; BAD: a line for each text changed since
// spoil IN OUT        one claim changed after signing
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { prepareDataForSigning } from 'didwebvh-ts';

const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';

function unbase58(text) {
  let n = 0n;
  for (const c of text) n = n * 58n + BigInt(ALPHABET.indexOf(c));
  const hex = n.toString(16);
  const bytes = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex');
  return Buffer.concat([Buffer.alloc(text.match(/^1*/)[0].length), bytes]);
}

function base58(bytes) {
  let n = BigInt('0x' + Buffer.from(bytes).toString('hex')), text = '';
  for (; n; n /= 58n) text = ALPHABET[Number(n % 58n)] + text;
  for (const b of bytes) { if (b) break; text = '1' + text; }
  return text;
}

function key(method) {
  const raw = unbase58(method.split('#')[1].slice(1));
  if (raw.length !== 34 || raw[0] !== 0xed || raw[1] !== 0x01) throw new Error(method + ': no Ed25519 key');
  return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: raw.subarray(2).toString('base64url') }, format: 'jwk' });
}

async function verifies(secured) {
  const { proof, ...document } = secured;
  const { proofValue, ...options } = proof;
  const hash = await prepareDataForSigning(document, options);
  for (const inner of document.verifiableCredential ?? []) if (!(await verifies(inner))) return false;
  return verify(null, hash, key(proof.verificationMethod), unbase58(proofValue.slice(1)));
}

function newKey() {
  const pair = generateKeyPairSync('ed25519');
  const pub = Buffer.from(pair.publicKey.export({ format: 'jwk' }).x, 'base64url');
  const id = 'z' + base58(Buffer.concat([Buffer.from([0xed, 0x01]), pub]));
  return { did: 'did:key:' + id, method: `did:key:${id}#${id}`, secret: createPrivateKey(pair.privateKey.export({ format: 'pem', type: 'pkcs8' })) };
}

// The same claims by a key of ours. What a presentation carries is issued anew for its holder.
async function issue({ proof, ...doc }, holder) {
  const k = newKey();
  doc[doc.holder ? 'holder' : 'issuer'] = k.did;
  if (holder) doc.credentialSubject.id = holder;
  if (doc.verifiableCredential)
    doc.verifiableCredential = await Promise.all(doc.verifiableCredential.map((v) => issue(v, k.did)));
  const { proofValue, ...options } = { ...proof, verificationMethod: k.method, '@context': [...doc['@context']] };
  const hash = await prepareDataForSigning(doc, options);
  return { ...doc, proof: { ...options, proofValue: 'z' + base58(sign(null, hash, k.secret)) } };
}

// Every text and number of the tree, changed one at a time.
function* changed(root, node = root) {
  for (const k of Object.keys(node)) {
    const was = node[k];
    if (was && typeof was === 'object') { yield* changed(root, was); continue; }
    if (k === 'proofValue' || k === 'verificationMethod') continue;
    node[k] = typeof was === 'number' ? was + 1 : typeof was === 'boolean' ? !was : was + 'x';
    yield k;
    node[k] = was;
  }
}

const read = (f) => JSON.parse(readFileSync(f, 'utf8'));
const [, , verb, ...files] = process.argv;

if (verb === 'verify') {
  for (const f of files) {
    const doc = read(f);
    if (!(await verifies(doc))) throw new Error(f + ': does not verify');
    let n = 0;
    for (const what of changed(doc)) {
      n++;
      if (await verifies(doc)) throw new Error(f + ': still verifies with another ' + what);
    }
    console.log(`${f.split('/').pop()}: verifies, ${n} changes do not`);
  }
} else if (verb === 'issue') {
  const doc = await issue(read(files[0]));
  if (!(await verifies(doc))) throw new Error(files[1] + ': does not verify by its own issuer');
  writeFileSync(files[1], JSON.stringify(doc) + '\n');
  if (files[2]) {
    const bad = [];
    for (const _ of changed(doc)) bad.push(JSON.stringify(doc));
    writeFileSync(files[2], bad.join('\n') + '\n');
  }
} else if (verb === 'spoil') {
  const doc = read(files[0]);
  doc.credentialSubject.envelope.ceiling.amount += 1;
  writeFileSync(files[1], JSON.stringify(doc));
} else {
  throw new Error('verify, issue or spoil');
}
