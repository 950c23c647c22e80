# SPDX-License-Identifier: Apache-2.0
"""The time line: one line an event, told from the two sides' own logs, in words that a newcomer understands."""
import datetime
import os
import re
import threading

from demo_promises import euro, mbit

AXES = ('bandwidth', 'latency', 'availability')
KINDS = {1: 'deterministic', 2: 'best-effort'}
REASONS = {1: 'new', 2: 'change', 3: 'step up', 4: 'step down', 5: 'walk back'}
SOURCES = {1: 'declared by a person', 2: 'posted by an application', 3: 'detected from its traffic',
           4: 'a change of a live agreement'}


CAUSES = ('', 'the path is dead', 'its delay is above the ceiling', 'its delay is growing to the ceiling',
          'it loses packets', 'the rate does not arrive', 'it is filling up')  # enum assurance_cause
HERE = os.path.dirname(os.path.realpath(__file__))


def refusals():
    """The names and sentences of refusals.def, by number."""
    with open(os.path.join(HERE, '../../include/treaty/refusals.def'), encoding='utf-8') as f:
        return re.findall(r'^REFUSAL\((\w+),[^"]*"([^"]*)"', f.read(), re.M)


def risk(why):
    """The reason of an assurance event, for people."""
    n = dict(re.findall(r'(\S+)=(-?\d+)', why))
    cause = int(n.get('cause', 0))
    more = f', forecast load {int(n["load"]) / 1e6:.0f} Mbit/s' if cause == 6 else \
        f', {int(n.get("delay", 0)) / 1000:.1f} ms now' if cause in (2, 3) else ''
    return (CAUSES[cause] if cause < len(CAUSES) else why) + more


def ms(us):
    return f'{us / 1000:g} ms'


def grades(g):
    return f'{mbit(g["bandwidth"])} within {ms(g["latency"])}'


class Teller:
    """Prints lines of (seconds, who, what). Events that say nothing new to a newcomer are left out."""

    def __init__(self, start, quiet=False):
        self.start, self.quiet = start, quiet
        self.lock = threading.Lock()
        self.refusals = refusals()
        self.ended = set()  # the hex digits of deals that the operator saw end
        self.name = {}  # id of a deal, quote or agreement -> the flow's name

    def say(self, who, what, at=None):
        seconds = (at if at is not None else datetime.datetime.now().timestamp()) - self.start
        if not self.quiet:
            with self.lock:
                print(f'{seconds:7.2f} s  {who:10}  {what}', flush=True)

    def head(self, what):
        if not self.quiet:
            with self.lock:
                print(f'\n{what}', flush=True)

    def row(self, node, row):
        """One row of a log."""
        at = datetime.datetime.fromisoformat(row['time'].replace('Z', '+00:00')).timestamp()
        said = getattr(self, f'{node}_{row["event"].lower()}', None)
        self.learn(row['output'])
        if said:
            text = said(row['output'], row)
            if text:
                self.say({'edge': 'enterprise', 'op': 'operator'}[node], text, at)

    def learn(self, out):
        inner = out.get('intent') if isinstance(out.get('intent'), dict) else {}
        flow = out.get('class_name') or inner.get('class_name')
        if flow:
            for key in ('id', 'negotiation', 'lineage', 'quote'):
                if isinstance(out.get(key), str) and out[key]:
                    self.name[out[key]] = flow
            if inner:
                self.name[inner['negotiation']] = flow
        if out.get('lineage') in self.name and out.get('id'):
            self.name[out['id']] = self.name[out['lineage']]

    def flow(self, *ids):
        return next((self.name[i] for i in ids if i in self.name), ids[0] if ids else '?')

    # --- the enterprise ------------------------------------------------------------------------
    def edge_intent_declared(self, o, _):
        return f'{o["class_name"]} needs {grades(o["want"])}: {SOURCES.get(o["source"], "?")}'

    def edge_quote_received(self, o, _):
        if o['version'] > 1:
            return ''  # told by the one that is taken
        items = []
        for i in o['item']:
            price = i['scarcity'] + i['margin']
            surge = ', '.join(f'{a} +{p} %' for a, p in zip(AXES, i['surge_pct']) if p)
            what = 'withdrawn' if i['withdrawn'] else f'{euro(price)}/h' + (f' (surge: {surge})' if surge else '')
            items.append(f'{i["no"]}) {KINDS.get(i["type"], "?")}, {ms(i["g"]["latency"])}, {what}')
        return f'{o["class_name"]}: menu ({REASONS.get(o["reason"], "?")}): ' + '; '.join(items)

    def edge_quote_countered(self, o, _):
        return '' if o['round'] > 1 else \
            f'{self.flow(o["deal"])}: bargains over the margin, from {euro(o["margin"])}/h on'

    def edge_quote_accepted(self, o, _):
        return (f'{self.flow(o["deal"], o["quote"])}: takes item {o["item"]} at {euro(o["price"])}/h, holds '
                f'{euro(o["held"])} of the wallet')

    def edge_quote_rejected(self, o, _):
        return f'{self.flow(o["deal"])}: rejects the menu: {o["why"]}'

    def edge_agreement_accepted(self, o, _):
        return (f'{o["class_name"]}: signature verified, {euro(o["amount"])} for the term so far, countersigns '
                f'revision {o["rev"]} of {o["lineage"]}: {grades(o["g"])}, flow label {o["label"]}')

    def edge_spur_rebalanced(self, o, _):
        cuts = ', '.join(f'{self.flow(f["lineage"])} {mbit(f["rate"])}' for f in o['flow'])
        return f'divides its own access link anew, tells nobody: {cuts}'

    def edge_service_failed(self, o, _):
        return f'{self.flow(o["deal"])}: the operator could not deliver: {o["why"]}'

    def edge_terminated(self, o, _):
        return f'{self.flow(o["deal"])}: ended: {o["why"]}'

    edge_expired = edge_terminated

    # --- the operator --------------------------------------------------------------------------
    def op_wallet_admitted(self, o, _):
        return (f'{o["intent"]["class_name"]}: wallet {o["wallet"].rsplit(":", 1)[-1]} verified (signature, holder, '
                f'validity, policy), ceiling {euro(o["ceiling"])}')

    def op_agreement_signed(self, o, _):
        return (f'{o["class_name"]}: signs revision {o["rev"]} ({REASONS.get(o["reason"], "?")}), price '
                f'{euro(o["price"])}/h')

    def op_plan_committed(self, o, _):
        nodes = []
        for s in o['step']:
            if not nodes or nodes[-1] != s['node']:
                nodes.append(s['node'])
        return f'{self.flow(o["lineage"])}: plan of {len(o["step"])} steps passed its check: {" ".join(nodes)}'

    def op_terminated(self, o, _):
        self.ended.add(o['deal'].split('-')[-1])

    op_expired = op_terminated

    def op_service_active(self, o, _):
        if o['deal'].split('-')[-1] in self.ended:
            return f'{self.flow(o["deal"])}: removed from every node'
        return f'{self.flow(o["deal"])}: every node applied and read back; revision {o["rev"]} is in force'

    def op_breach_predicted(self, o, _):
        return f'{self.flow(o["deal"])}: a breach is predicted: {risk(o["why"])}'

    def op_breached(self, o, _):
        return f'{self.flow(o["deal"])}: a promise is broken: {risk(o["why"])}'

    def op_renegotiation_opened(self, o, _):
        return f'{o["class_name"]}: offers to renegotiate ({REASONS.get(o["reason"], "?")}) in flight'

    def op_recovered(self, o, _):
        return f'{self.flow(o["deal"])}: the risk has passed; cooling begins'

    def op_cooled(self, o, _):
        return f'{self.flow(o["deal"])}: cooled down'

    def op_refused(self, o, _):
        name, sentence = self.refusals[o['refusal']] if o['refusal'] < len(self.refusals) else ('?', '?')
        return f'REFUSES {name.lower()}: {sentence} ({o["why"]})'

    def op_service_failed(self, o, _):
        return f'{self.flow(o["deal"])}: could not be applied and was rolled back: {o["why"]}'
