#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The salted digests of agent/codec/commit.h, written a second time: prints vectors.json. Numbers are small integers and
names ASCII, so that json.dumps() is canonical."""
import base64
import hashlib
import json


def sha(*parts):
    return hashlib.sha256(b''.join(parts)).digest()


def salt_in(around, name):
    return sha(b'treaty/salt/v1', around, str(name).encode())


def parts(v):
    return sorted(v.items()) if isinstance(v, dict) else list(enumerate(v))


def leaf(v):
    if isinstance(v, dict):
        return not v
    return not isinstance(v, list) or not v or not isinstance(v[0], (dict, list))


def node(v, digests):
    text = b''
    for (name, _), d in zip(parts(v), digests):
        name = str(name).encode()
        text += len(name).to_bytes(4, 'big') + name + d
    return sha((b'treaty/elements/v1' if isinstance(v, list) else b'treaty/members/v1').ljust(32, b'\0'), text)


def digest(salt, v):
    if leaf(v):
        return sha(salt, json.dumps([v], separators=(',', ':'), sort_keys=True, ensure_ascii=False).encode())
    return node(v, [digest(salt_in(salt, k), m) for k, m in parts(v)])


def multibase(d):
    return 'u' + base64.urlsafe_b64encode(b'\x12\x20' + d).decode().rstrip('=')


def show(salt, v, path, hide, mask):
    """What is seen of v, and the notes beside it."""
    if path in hide:
        return {'redacted': multibase(digest(salt, v))}, None
    if path in mask:
        return 'consumer-00112233', '~' + base64.b64encode(digest(salt, v)).decode()
    inside = [h for h in hide | mask if h.startswith(path + '.') or not path]
    if leaf(v) or not inside:
        return v, base64.b64encode(salt).decode()
    seen, notes = ([], []) if isinstance(v, list) else ({}, {})
    for k, m in parts(v):
        s, n = show(salt_in(salt, k), m, f'{path}.{k}' if path else str(k), hide, mask)
        if isinstance(v, list):
            seen.append(s)
            notes.append(n)
        else:
            seen[k] = s
            if n is not None:
                notes[k] = n
    return seen, notes


KEY = bytes(range(32))
EVENT = {'v': 1, 'seq': 7, 'time': '2026-08-01T12:00:00.000Z', 'actor': 'bss_negotiation', 'tool': 'quote_offer',
         'event': 'QUOTE_OFFERED',
         'output': {'id': 'quo-1', 'peer': 'did:web:edge.example', 'empty': {}, 'none': [], 'flags': [True, False, None],
                    'item': [{'no': 1, 'price': 4100}, {'no': 2, 'price': 1200}]},
         'input': {'paths': [[1, 2], [3, 4]], 'text': 'a "b" \\ c'}}


def vectors():
    salt = sha(b'treaty/commit/v1', KEY, (7).to_bytes(8, 'big'))
    out = {'key': KEY.hex(), 'seq': 7, 'event': json.dumps(EVENT), 'digest': multibase(digest(salt, EVENT)), 'parts': []}
    for hide, mask in ((set(), set()), ({'input'}, {'output.peer'}), ({'output.item.1', 'output.flags', 'output.none'}, set()),
                       ({'output.item.0.price', 'output.item.1.price', 'input.text'}, {'output.peer', 'actor'}),
                       ({k for k in EVENT}, set()), ({'output.empty', 'input.paths.1'}, set())):
        seen, salts = show(salt, EVENT, '', hide, mask)
        out['parts'].append({'seen': seen, 'salts': salts})
    return out


print(json.dumps(vectors(), indent=1))
