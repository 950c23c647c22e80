# SPDX-License-Identifier: Apache-2.0
"""The operator's /events as a consumer reads it over the lab's network, with its own certificate: nothing without a
disclosure policy, with one its own agreements' events and of those only what the policy names; others nothing.

As a program, inside the reader's network namespace: consumer_events.py HOST PORT HOME PATH LAST-EVENT-ID COUNT prints
the status and COUNT events (or what came until 10 s without one), one JSON line each."""
import http.client
import json
import os
import ssl
import subprocess
import sys

KINDS = ['QUOTE_OFFERED', 'AGREEMENT_SIGNED', 'ACCEPTANCE_RECORDED', 'SERVICE_ACTIVE', 'TERMINATED']
MEMBERS = ['output.id', 'output.lineage', 'output.negotiation']
SELF = os.path.realpath(__file__)


def reader(host, port, home, path, after, count):
    """Status first, then events."""
    tls = ssl.create_default_context(cafile=f'{home}/ca.pem')
    tls.minimum_version = ssl.TLSVersion.TLSv1_3
    tls.load_cert_chain(f'{home}/tls.pem', f'{home}/tls.key')
    c = http.client.HTTPSConnection(host, port, timeout=10, context=tls)
    c.request('GET', path, headers={'Last-Event-ID': after} if after else {})
    r = c.getresponse()
    print(r.status, flush=True)
    block = {}
    while count and r.status == 200:
        line = r.readline().decode().rstrip('\n')
        if line and not line.startswith(':'):
            key, _, value = line.partition(': ')
            block[key] = value
        elif not line and block:
            print(json.dumps([int(block['id']), block['event'], json.loads(block['data'])]), flush=True)
            block, count = {}, count - 1
    c.close()


class Reader:
    """One reader with who's certificate, in that daemon's network namespace or else the edge's, at the operator."""

    def __init__(self, lab, conf, who, path='/events', after='', count=0):
        node = who if who in conf.MGMT else 'edge'
        self.p = subprocess.Popen(
            ['nsenter', '-t', str(lab.pids[node]), '-n', sys.executable, '-B', SELF, f'fd10:ee:{conf.MGMT[node]}::1',
             str(conf.PORT), lab.home(who), path, str(after), str(count)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.status = int(self.p.stdout.readline() or 0)

    def rest(self):
        """What it was told, and its complaint when less came than it waited for."""
        out, err = self.p.communicate(timeout=60)
        return [json.loads(x) for x in out.splitlines()], err.strip()[-200:]

    def told(self):
        """What it was told until now."""
        self.p.terminate()
        return self.p.communicate(timeout=60)[0]


def load(lab, version, rules):
    plain, signed = f'{lab.dir}/policy.json', f'{lab.dir}/policy.signed.json'
    with open(plain, 'w', encoding='utf-8') as f:
        json.dump({'type': 'DisclosurePolicy', 'side': lab.tool('op', 'status')['did'], 'version': version,
                   'rules': rules}, f)
    lab.ctl('op', 'disclosure', 'sign', plain, '--out', signed)
    lab.ctl('op', 'disclosure', 'load', signed)


def consumer_events(lab, conf, check, log_of, declare):
    """declare(): asks for something, so that an event of the consumer's own comes."""
    r = Reader(lab, conf, 'edge', count=1)
    check('consumer: without a policy there is no stream', r.status == 404, r.status)
    load(lab, 1, [{'name': 'own', 'to': ['consumer'], 'own': True, 'events': KINDS, 'members': MEMBERS}])
    rows = log_of(lab, 'op')
    want = [(x['seq'], x['event']) for x in rows if x['event'] in KINDS]
    got, why = Reader(lab, conf, 'edge', '/events?after=0', count=len(want)).rest()
    check('consumer: what the policy names of its own comes, in order, and nothing else',
          len(want) > 4 and [(s, e) for s, e, _ in got] == want, why or len(got))
    hidden = {k for _, _, d in got for k in d.get('output', {})} - {m.split('.')[1] for m in MEMBERS}
    check('consumer: and of each only the members that it names', not hidden and all('output' in d for _, _, d in got),
          sorted(hidden))
    r = Reader(lab, conf, 'popA', '/events?after=0', count=1)
    check('consumer: a node, for which the policy has no word, has no stream', r.status == 404, r.status)
    rival = Reader(lab, conf, 'rival', '/events?after=0', count=1)
    again, why = Reader(lab, conf, 'edge', after=want[-4][0], count=3).rest()
    check('consumer: Last-Event-ID resumes behind it', again == got[-3:], why or [s for s, _, _ in again])
    signed, why = Reader(lab, conf, 'edge', '/events?after=0&type=AGREEMENT_SIGNED',
                         count=sum(e == 'AGREEMENT_SIGNED' for _, e in want)).rest()
    check('consumer: a filter by type leaves the rest out', signed and signed ==
          [g for g in got if g[1] == 'AGREEMENT_SIGNED'], why or len(signed))
    live = Reader(lab, conf, 'edge', count=1)
    declare()
    new, why = live.rest()
    check('consumer: what happens next comes by itself', len(new) == 1 and new[0][0] > want[-1][0] and
          new[0][1] in KINDS, why or new)
    said = rival.told()
    check('consumer: another consumer has a stream, and all the while nothing on it', rival.status == 200 and not said,
          (rival.status, said))
    load(lab, 2, [{'name': 'capacity', 'to': ['domain'], 'resources': ['capacity_query'], 'members': ['*']}])
    r = Reader(lab, conf, 'edge', '/events?after=0', count=1)
    check('consumer: when the policy names it no more, the stream is gone', r.status == 404, r.status)


if __name__ == '__main__':
    reader(sys.argv[1], int(sys.argv[2]), *sys.argv[3:6], int(sys.argv[6]))
