# SPDX-License-Identifier: Apache-2.0
"""What was promised, what was measured, and whether it was kept. Money is computed here once more, from
prices and times alone, with none of the daemons' code."""

TCP6_MSS, TCP6_FRAME = 1428, 1514  # MTU 1500, IPv6, time stamps: payload and layer 2 bytes of a segment
STATES = {True: 'kept', False: 'BROKEN', None: 'not measured'}
SRV6 = 40 + 24  # what an IPv4 packet grows by on the access link: IPv6 header, SRH with one segment


class Table:
    def __init__(self):
        self.rows = []

    def row(self, key, what, promised, measured, kept, excuse=''):
        """`key` names the row for BREAK=; one row a key. `excuse`: why the machine could not measure it, if so: a row
        that was not kept then says nothing, and its state is None."""
        if any(r[0] == key for r in self.rows):
            raise ValueError(f'row {key} twice')
        kept = bool(kept)
        if not kept and excuse:
            kept, measured = None, f'{measured}; {excuse}'
        self.rows.append((key, what, promised, measured, kept))
        return kept

    def broken(self):
        return [r[0] for r in self.rows if r[4] is False]

    def unknown(self):
        return [r[0] for r in self.rows if r[4] is None]

    def text(self):
        head = ('promise', 'promised', 'measured', '')
        body = [(w, p, m, STATES[k]) for _, w, p, m, k in self.rows]
        wide = [max(len(x[i]) for x in [head, *body]) for i in range(4)]
        line = '-+-'.join('-' * w for w in wide)
        rows = [' | '.join(x[i].ljust(wide[i]) for i in range(4)).rstrip() for x in [head, *body]]
        return '\n'.join([rows[0], line, *rows[1:]])

    def verdict(self):
        bad, none = len(self.broken()), len(self.unknown())
        more = f', {none} not measured: this machine could not' if none else ''
        return f'treaty demo: {len(self.rows) - bad - none} promises kept, {bad} broken{more}'


def mbit(bps):
    return f'{bps / 1e6:.2f} Mbit/s'.replace('.00 ', ' ')


def euro(cents):
    return f'{cents / 100:.2f} EUR'


def packets(n):
    return f'{n:,} packets'.replace(',', ' ')


def loss_row(table, key, what, windows, promised='0 lost', least=1, excuse=''):
    """Zero-loss over windows: {class: counts}. Says how many packets were tried."""
    udp = {c: w for c, w in windows.items() if w.get('proto') == 'udp'}
    tried = sum(w['sent'] or 0 for w in udp.values())
    unknown = [c for c, w in udp.items() if w['sent'] is None]
    lost = sum(w['lost'] or 0 for w in udp.values())
    return table.row(key, what, promised, f'{lost} lost of {packets(tried)}',
                     tried >= least and lost == 0 and not unknown, excuse)


# --- money -------------------------------------------------------------------------------------
HOUR = 3600000


def cost(price, ms):
    """ceil(price per hour x ms), whole cents."""
    return -(-price * ms // HOUR)


def lineage_debit(revisions):
    """What the revisions of one agreement come to: [(price, start, end)] in order -> captured cents.
    A revision pays its whole term in advance; what a replaced one had left is set off against it."""
    past = captured = 0
    live = None
    for price, start, end in revisions:
        if live:
            past += cost(live[0], start - live[1])
        amount = past + cost(price, end - start)
        captured += max(0, amount - captured)
        live = (price, start)
    return captured


def revisions(rows, event):
    """{lineage: [agreement, ...]} as the log tells them, each revision once."""
    out = {}
    for r in rows:
        if r['event'] == event:
            a = r['output']
            seen = out.setdefault(a['lineage'], [])
            if not any(x['rev'] == a['rev'] for x in seen):
                seen.append(a)
    return {k: sorted(v, key=lambda a: a['rev']) for k, v in out.items()}


def debits(rows, event):
    return {k: lineage_debit([(a['price'], a['start'], a['end']) for a in v])
            for k, v in revisions(rows, event).items()}
