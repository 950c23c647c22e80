# SPDX-License-Identifier: Apache-2.0
"""Keys, DID documents and Data Integrity proofs (eddsa-jcs-2022) for the lab, with openssl's Ed25519.
It shares no code with the daemons: what they accept from here, two implementations agree on."""
import base64
import hashlib
import json
import os
import subprocess
import tempfile

CREDENTIALS = 'https://www.w3.org/ns/credentials/v2'
WALLET = 'https://treaty.example/contexts/intent-wallet/v1'
AGREEMENT = 'https://treaty.example/contexts/agreement/v1'
B58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
PKCS8 = bytes.fromhex('302e020100300506032b657004220420')  # RFC 8410, before the seed


def base58(data):
    n, out = int.from_bytes(data, 'big'), ''
    while n:
        n, r = divmod(n, 58)
        out = B58[r] + out
    return '1' * (len(data) - len(data.lstrip(b'\0'))) + out


def jcs(value):
    """RFC 8785 for what the lab writes: ASCII member names and whole numbers only."""
    return json.dumps(value, sort_keys=True, separators=(',', ':'), ensure_ascii=False).encode()


def multibase_digest(value):
    """base64url of a multihash: SHA-256, 32 bytes."""
    raw = b'\x12\x20' + hashlib.sha256(jcs(value)).digest()
    return 'u' + base64.urlsafe_b64encode(raw).rstrip(b'=').decode()


class Key:
    """An Ed25519 key from a seed file: 64 hex digits."""

    def __init__(self, path):
        with open(path) as f:
            self.der = PKCS8 + bytes.fromhex(f.read().strip())
        r = self.openssl('pkey', '-pubout', '-outform', 'DER')
        self.public = r[-32:]
        self.multikey = 'z' + base58(b'\xed\x01' + self.public)

    def openssl(self, verb, *args):
        with tempfile.NamedTemporaryFile() as f:
            f.write(self.der)
            f.flush()
            where = ['-inform', 'DER', '-in', f.name] if verb == 'pkey' else \
                ['-sign', '-rawin', '-keyform', 'DER', '-inkey', f.name]
            return subprocess.run(['openssl', verb, *where, *args], capture_output=True, check=True).stdout

    def sign(self, data):
        with tempfile.NamedTemporaryFile() as f:
            f.write(data)
            f.flush()
            return self.openssl('pkeyutl', '-in', f.name)


def key_new(path):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), 'w') as f:
        f.write(os.urandom(32).hex() + '\n')


def document(did, rows):
    """The document that a did:web host serves. rows: (fragment, purpose, Key)."""
    doc = {'@context': ['https://www.w3.org/ns/did/v1', 'https://w3id.org/security/multikey/v1'],
           'id': did, 'verificationMethod': []}
    for fragment, purpose, key in rows:
        doc.setdefault(purpose, []).append(f'{did}#{fragment}')
        doc['verificationMethod'].append({'id': f'{did}#{fragment}', 'type': 'Multikey', 'controller': did,
                                          'publicKeyMultibase': key.multikey})
    return doc


def secure(body, types, key, method, purpose, created, context=WALLET, **more):
    """The body as a signed credential or presentation."""
    doc = {'@context': [CREDENTIALS, context], 'type': types, **body}
    proof = {'type': 'DataIntegrityProof', 'cryptosuite': 'eddsa-jcs-2022', 'created': created,
             'verificationMethod': method, 'proofPurpose': purpose, '@context': doc['@context'], **more}
    digest = hashlib.sha256(jcs(proof)).digest() + hashlib.sha256(jcs(doc)).digest()
    proof['proofValue'] = 'z' + base58(key.sign(digest))
    return {**doc, 'proof': proof}


def wallet(body, key, created):
    return secure(body, ['VerifiableCredential', 'IntentWalletCredential'], key, body['issuer'] + '#wallet',
                  'assertionMethod', created)


def presentation(credential, holder, key, domain, challenge, intent, intent_id, created):
    body = {'holder': holder, 'verifiableCredential': [credential],
            'presentedWith': {'id': intent_id, 'digestMultibase': multibase_digest(intent)}}
    return secure(body, ['VerifiablePresentation'], key, holder + '#agent', 'authentication', created,
                  domain=domain, challenge=challenge)
