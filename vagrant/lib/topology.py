# SPDX-License-Identifier: Apache-2.0
"""The lab's map as data: nodes, links, addresses, and the routes that hold without any daemon."""

NODES = ['lan', 'edge', 'popA', 'popB', 'popC', 'exch', 'tenA', 'tenB', 'op']
ROUTERS = ['edge', 'popA', 'popB', 'popC']
MGMT = {'edge': 1, 'popA': 2, 'popB': 3, 'popC': 4}
LONG, SHORT = 9000, 1500  # MTUs: towards and inside the network; customers' links

# name, (node, device, addresses), (node, device, addresses), MTU
LINKS = [
    ('lan', ('lan', 'eth0', ['fd10:1::2/64', '10.1.0.2/24']),
     ('edge', 'lan0', ['fd10:1::1/64', '10.1.0.1/24']), SHORT),
    ('access', ('edge', 'acc0', ['fd10:a1::1/64']), ('popA', 'acc0', ['fd10:a1::2/64']), LONG),
    ('short', ('popA', 'coreb', ['fd10:ab::1/64']), ('popB', 'corea', ['fd10:ab::2/64']), LONG),
    ('longa', ('popA', 'corec', ['fd10:ac::1/64']), ('popC', 'corea', ['fd10:ac::2/64']), LONG),
    ('longb', ('popC', 'coreb', ['fd10:cb::1/64']), ('popB', 'corec', ['fd10:cb::2/64']), LONG),
    ('exch', ('popB', 'exc0', ['fd10:2::1/64', '10.2.0.1/24']),
     ('exch', 'eth0', ['fd10:2::2/64', '10.2.0.2/24']), SHORT),
    ('tena', ('popA', 'ten0', ['fd10:7a::1/64']), ('tenA', 'eth0', ['fd10:7a::2/64']), SHORT),
    ('tenb', ('popB', 'ten0', ['fd10:7b::1/64']), ('tenB', 'eth0', ['fd10:7b::2/64']), SHORT),
] + [('mgmt-' + x, ('op', x, [f'fd10:ee:{n}::1/64']), (x, 'mgmt', [f'fd10:ee:{n}::2/64']), LONG)
     for x, n in MGMT.items()]

# Wires with length: name -> (delay in ms, rate in Mbit/s of whole frames, queue in ms), each direction
WIRES = {'short': (5, 200, 100), 'longa': (10, 300, 100), 'longb': (10, 300, 100)}

LOOPBACK = {'edge': ['fd10:ff:e::1'], 'popC': ['fd10:ff:c::1'],
            'popA': ['fd10:ff:a::1'] + [f'fd10:ff:a:{p}::1' for p in (1, 2, 3)],
            'popB': ['fd10:ff:b::1'] + [f'fd10:ff:b:{p}::1' for p in (1, 2, 3)]}
TUNSRC = {'edge': 'fd10:ff:e::1', 'popB': 'fd10:ff:b::1'}


def to(prefixes, hop):
    return [f'route add {p} {hop}' for p in prefixes]


# Static routes (protocol static). The probe sources of path N are reached back over path N.
ROUTES = {
    'lan': ['route add default via fd10:1::1', 'route add default via 10.1.0.1'],
    'exch': ['route add default via fd10:2::1', 'route add default via 10.2.0.1'],
    'tenA': ['route add default via fd10:7a::1'],
    'tenB': ['route add default via fd10:7b::1'],
    'edge': to(['fd10::/16'], 'via fd10:a1::2 dev acc0') + [
        'route add fd10:ff:e:d4::1/128 encap seg6local action End.DX4 nh4 10.1.0.2 dev lan0',
        'route add 10.2.0.0/24 encap seg6 mode encap segs fd10:ff:b:d4::1 dev acc0'],
    'popA': to(['fd10:1::/64', 'fd10:ff:e::/48'], 'via fd10:a1::1 dev acc0')
    + to(['fd10:2::/64', 'fd10:7b::/64', 'fd10:ff:b::/48'], 'via fd10:ab::2 dev coreb')
    + to(['fd10:cb::/64', 'fd10:ff:c::/48', 'fd10:ff:b:2::/64', 'fd10:ff:b:3::/64'],
         'via fd10:ac::2 dev corec'),
    'popB': to(['fd10:1::/64', 'fd10:a1::/64', 'fd10:7a::/64', 'fd10:ff:a::/48', 'fd10:ff:e::/48'],
               'via fd10:ab::1 dev corea')
    + to(['fd10:ac::/64', 'fd10:ff:c::/48', 'fd10:ff:a:2::/64', 'fd10:ff:a:3::/64'],
         'via fd10:cb::1 dev corec')
    + ['route add fd10:ff:b:d4::1/128 encap seg6local action End.DX4 nh4 10.2.0.2 dev exc0',
       'route add 10.1.0.0/24 encap seg6 mode encap segs fd10:ff:e:d4::1 dev corea'],
    'popC': to(['fd10:1::/64', 'fd10:a1::/64', 'fd10:7a::/64', 'fd10:ff:a::/48', 'fd10:ff:e::/48'],
               'via fd10:ac::1 dev corea')
    + to(['fd10:2::/64', 'fd10:7b::/64', 'fd10:ab::/64', 'fd10:ff:b::/48'], 'via fd10:cb::2 dev coreb'),
}


def mac(link, end):
    return f'02:54:00:00:{link + 1:02x}:{end + 1:02x}'


def ends():
    """Every device: (link number, end, name, node, device, addresses, peer addresses, MTU)."""
    for i, (name, a, b, mtu) in enumerate(LINKS):
        for e, (mine, other) in enumerate(((a, b), (b, a))):
            yield i, e, name, mine[0], mine[1], mine[2], other[2], mtu


def node_commands(node):
    """`ip -batch` lines for one node, once its devices exist."""
    out = ['link set lo up']
    out += [f'address add {a}/128 dev lo nodad' for a in LOOPBACK.get(node, [])]
    for i, e, _, n, dev, addrs, peers, mtu in ends():
        if n != node:
            continue
        out += [f'link set dev {dev} address {mac(i, e)} mtu {mtu} addrgenmode none up']
        out += [f'address add {a} dev {dev}' + (' nodad' if ':' in a else '') for a in addrs]
        out += [f'neigh replace {p.split("/")[0]} lladdr {mac(i, 1 - e)} dev {dev} nud permanent'
                for p in peers]
    if node in TUNSRC:
        out += [f'sr tunsrc set {TUNSRC[node]}']
    return out + ROUTES.get(node, [])


def sysctls(node):
    """Values under /proc/sys/net, in order; set before devices are made, so that they inherit them."""
    out = []
    for scope in ('all', 'default'):
        v6 = f'ipv6/conf/{scope}/'
        out += [(v6 + 'accept_ra', 0), (v6 + 'autoconf', 0), (v6 + 'accept_dad', 0),
                (v6 + 'dad_transmits', 0), (v6 + 'router_solicitations', 0), (v6 + 'accept_redirects', 0),
                (f'ipv4/conf/{scope}/rp_filter', 0), (f'ipv4/conf/{scope}/send_redirects', 0)]
        if node in ROUTERS:
            out += [(v6 + 'forwarding', 1), (v6 + 'seg6_enabled', 1), (f'ipv4/conf/{scope}/forwarding', 1)]
    return out


def hosts(node):
    """/etc/hosts of a node: <name>.lab.example for whom it can reach over the management network."""
    out = ['127.0.0.1 localhost', '::1 localhost']
    for x, n in MGMT.items():
        if node in ('op', x):
            out += [f'fd10:ee:{n}::2 {x}.lab.example {x}']
    out += ['::1 op.lab.example op'] if node == 'op' else []
    out += [f'fd10:ee:{MGMT[node]}::1 op.lab.example op'] if node in MGMT else []
    return '\n'.join(out) + '\n'
