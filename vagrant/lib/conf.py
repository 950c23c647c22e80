# SPDX-License-Identifier: Apache-2.0
"""The lab's treaty.conf files as data. A file is a list of (section, {key: value})."""

DAEMONS = ['edge', 'popA', 'popB', 'popC', 'op']
USER = 64000
PORT = 8443
MGMT = {'edge': 1, 'popA': 2, 'popB': 3, 'popC': 4}
NAME = {'edge': 'enterprise-x', 'op': 'operator-y'}  # a PoP is called as its node
ROLES = {'edge': 'enterprise,node', 'op': 'bss,oss', 'popA': 'node', 'popB': 'node', 'popC': 'node'}
ISSUER = 'did:web:treasury.lab.example'  # signs the enterprise's wallet
RIVAL = 'did:web:rival.lab.example'  # a second customer of the operator, for the demo's attacks
CURRENCY = 'EUR'
WINDOWS = {'sample-interval-ms': 100, 'hold-intervals': 100, 'cool-intervals': 100}


def did(node):
    return f'did:web:{node}.lab.example'


def name(node):
    return NAME.get(node, node)


# Money is cents; a price is cents per hour (per Mbit/s where it is a bandwidth's).
# name: what is asked, what it is worth to the enterprise, what it costs at the operator.
CLASSES = {
    'market-data': {'id': 1, 'dport': 7001, 'bandwidth': '20M', 'floor': '10M', 'latency-us': 30000,
                    'priority': 1, 'value': 40000, 'delay-value': 1200},
    'order-execution': {'id': 2, 'dport': 7002, 'bandwidth': '2M', 'floor': '1M', 'latency-us': 30000,
                        'priority': 0, 'value': 20000, 'delay-value': 1200},
    'risk-replication': {'id': 3, 'dport': 7003, 'bandwidth': '50M', 'floor': '20M', 'latency-us': 30000,
                         'priority': 2, 'value': 30000, 'delay-value': 0},
    'block-sync': {'id': 4, 'dport': 7004, 'bandwidth': '80M', 'floor': '40M', 'latency-us': 60000,
                   'priority': 3, 'value': 30000, 'delay-value': 0},
    'bulk-transfer': {'id': 5, 'dport': 7005, 'bandwidth': '10M', 'floor': '2M', 'latency-us': 200000,
                      'priority': 7, 'value': 6000, 'delay-value': 0, 'donor': 'on', 'detect': 'on',
                      'strategy': 'step-down', 'proto': 'tcp'},
}
PRICES = {'price': 60, 'price-latency': 1500, 'price-availability': 300, 'margin': 400, 'margin-floor': 200,
          'availability': '99.9', 'term-seconds': 3600}
UNPROTECTED = ('block-sync', 'bulk-transfer')  # may go where no spare path stands by: 99.0 %

# id: name, kind, own delay, capacity, spare path, hops (node, device up, device down, steers)
PATHS = {
    1: ('short', 'det', 5000, '200M', 2, [('popA', 'coreb', 'acc0', 'on'), ('popB', 'exc0', 'corea', 'on')]),
    2: ('long', 'det', 20000, '300M', 1,
        [('popA', 'corec', 'acc0', 'on'), ('popC', 'coreb', 'corea', 'off'), ('popB', 'exc0', 'corec', 'on')]),
    3: ('long-be', 'be', 20000, '300M', None,
        [('popA', 'corec', 'acc0', 'on'), ('popC', 'coreb', 'corea', 'off'), ('popB', 'exc0', 'corec', 'on')]),
}

# The access link, both ends. 195 Mbit/s of it are for treaties: the five classes fit, and once market-data is raised
# to 60 Mbit/s they fit only with bulk-transfer at its floor. The rest is for a replacement's two labels at once.
ACCESS, USABLE = '300M', 650

# node -> device: role, rate, direction of what arrives there
DEVICES = {
    'edge': {'lan0': ('customer', None, 'up'), 'acc0': ('network', ACCESS, 'down')},
    'popA': {'acc0': ('network', ACCESS, 'up'), 'coreb': ('network', '1G', 'down'),
             'corec': ('network', '1G', 'down')},
    'popB': {'corea': ('network', '1G', 'up'), 'corec': ('network', '1G', 'up'),
             'exc0': ('customer', '1G', 'down')},
    'popC': {'corea': ('network', '1G', 'up'), 'coreb': ('network', '1G', 'down')},
}

# node -> path: device, next hop, source and target of its probes
NODE_PATHS = {
    'popA': {1: ('coreb', 'fd10:ab::2'), 2: ('corec', 'fd10:ac::2'), 3: ('corec', 'fd10:ac::2')},
    'popB': {1: ('corea', 'fd10:ab::1'), 2: ('corec', 'fd10:cb::1'), 3: ('corec', 'fd10:cb::1')},
}


def device_keys(node):
    for dev, (role, rate, way) in DEVICES.get(node, {}).items():
        keys = {'role': role, 'dir': way}
        if rate:
            keys['rate'] = rate
            keys['shaper'] = 'htb'  # classes of the lab borrow, on every kernel
        yield f'device {dev}', keys


def path_keys(node):
    """At the operator the paths as such; at a steering node where they leave it."""
    for p, (pname, kind, delay, capacity, spare, hops) in PATHS.items():
        keys = {'name': pname, 'kind': kind, 'delay-us': delay, 'capacity': capacity}
        if node == 'op':
            if spare:
                keys['spare'] = spare
            yield f'path {p}', keys
            for hop, up, down, steers in hops:
                yield f'hop {p} {hop}', {'up-device': up, 'down-device': down, 'steers': steers}
        elif node in NODE_PATHS:
            keys['device'], keys['nexthop6'] = NODE_PATHS[node][p]
            here, there = ('a', 'b') if node == 'popA' else ('b', 'a')
            keys.update({'probe-src': f'fd10:ff:{here}:{p}::1', 'probe-dst': f'fd10:ff:{there}:{p}::1'})
            if node == 'popB':
                keys.update({'v4-prefix': '10.1.0.0/24', 'v4-sid': 'fd10:ff:e:d4::1'})
            yield f'path {p}', keys


def class_keys(prices):
    for cname, keys in CLASSES.items():
        own = dict(PRICES) if prices else {k: PRICES[k] for k in ('availability', 'term-seconds')}
        own.update(keys)
        if cname in UNPROTECTED:
            own['availability'] = '99.0'
        own.setdefault('proto', 'udp')
        yield f'class {cname}', own


def peer_keys(node):
    if node == 'edge':
        yield 'peer operator-y', {'did': did('op'), 'role': 'operator',
                                  'url': f'https://[fd10:ee:1::1]:{PORT}'}
    elif node == 'op':
        yield 'peer enterprise-x', {'did': did('edge'), 'role': 'enterprise',
                                    'url': f'https://[fd10:ee:1::2]:{PORT}'}
        yield 'peer enterprise-z', {'did': RIVAL, 'role': 'enterprise'}
        for pop in ('popA', 'popB', 'popC'):
            yield f'peer {pop}', {'did': did(pop), 'role': 'node',
                                  'url': f'https://[fd10:ee:{MGMT[pop]}::2]:{PORT}'}
    else:
        yield 'peer operator-y', {'did': did('op'), 'role': 'oss'}


def listens(node):
    if node == 'op':
        return ','.join(f'[fd10:ee:{n}::1]:{PORT}' for n in MGMT.values())
    return f'[fd10:ee:{MGMT[node]}::2]:{PORT}'


def daemon_keys(node, home, windows):
    keys = {'roles': ROLES[node], 'name': name(node), 'state-dir': f'{home}/state', 'run-dir': '/run/treaty',
            'user': USER, 'listen': listens(node), 'did': did(node), 'tls-cert': f'{home}/tls.pem',
            'tls-key': f'{home}/tls.key', 'tls-ca': f'{home}/ca.pem'}
    keys.update({k: v for k, v in windows.items() if '/' not in k})
    return keys


def side_keys(node, home, documents, bargain):
    """The sections that make it an enterprise's or an operator's daemon."""
    if node == 'edge':
        yield 'enterprise', {'operator': 'operator-y', 'lan': 'lan0', 'access': 'acc0', 'usable-permille': USABLE,
                             'bargain': bargain}
        yield 'wallet', {'credential': f'{home}/wallet.json'}
    if node == 'op':
        yield 'operator', {'quote-ttl': 60, 'label-range': '1-4095'}
    if node in NAME:
        yield 'trust', {'issuers': ISSUER, 'documents': documents}
        yield 'ledger', {'currency': CURRENCY, 'ceiling': 25000000}
        keys = {'agreement': f'{home}/agreement.key', 'checkpoint': f'{home}/checkpoint.key',
                'checkpoint-interval': 5}
        if node == 'edge':
            keys['presentation'] = f'{home}/agent.key'
        yield 'keys', keys
        yield from class_keys(prices=True)


def node_keys(node, windows):
    if 'node' in ROLES[node]:
        keys = {'pin-dir': '/run/treaty-bpf', 'probe-interval-ms': 20}
        if node != 'edge':
            keys['oss'] = 'operator-y'
        if node in NODE_PATHS:
            keys['reflector'] = '[::]:8620'
        for k, v in windows.items():
            who, _, key = k.partition('/')
            if key and who in ('node', node):
                keys[key] = v
        yield 'node', keys


def render(node, home, documents, windows=None):
    windows = {**WINDOWS, 'bargain': 'on', **(windows or {})}
    bargain = windows.pop('bargain')
    sections = [('daemon', daemon_keys(node, home, windows))]
    sections += list(node_keys(node, windows)) + list(peer_keys(node)) + list(device_keys(node))
    sections += list(path_keys(node)) + list(side_keys(node, home, documents, bargain))
    out = [f'# {name(node)}: made by the lab']
    for title, keys in sections:
        out += ['', f'[{title}]'] + [f'{k} = {v}' for k, v in keys.items()]
    return '\n'.join(out) + '\n'


def wallet_options(holder, wallet_id, ceiling=20000000):
    """The options of `treatyctl wallet issue`."""
    rows = [f'{c}:ceiling={ceiling},latency={k["latency-us"]}us,bandwidth={k["floor"]},availability='
            f'{"99.0" if c in UNPROTECTED else "99.9"},scarcity={k.get("strategy", "step-up")}'
            for c, k in CLASSES.items()]
    return {'issuer': ISSUER, 'holder': holder, 'operator': [did('op')], 'class': rows, 'currency': CURRENCY,
            'ceiling': ceiling, 'agreement-max': ceiling, 'human-above': ceiling, 'term-max': '24h',
            'valid-for': '48h', 'wallet-id': f'urn:treaty:wallet:{wallet_id}'}
