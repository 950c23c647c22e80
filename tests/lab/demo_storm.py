# SPDX-License-Identifier: Apache-2.0
"""The story, second half: a stranger's congestion and the way back, refusals, kill -9, and the audit."""
import contextlib
import json
import shutil
import sqlite3
import tempfile
import time

import conf
import demo_faults
import trust
from demo_attack import Rival, problem, state
from demo_lab import SIDES, Traffic, wait_for
from demo_promises import debits, euro, loss_row, packets
from demo_story import DOWN, UDP, offered

TENANT_STEP, TENANT_EVERY = 2e6, 0.1  # the tenant grows by 20 Mbit/s a second
TENANT_TOP = 190e6
MOVERS = ('order-execution', 'market-data')  # who lives on the short path


# --- 5: congestion by somebody else ------------------------------------------------------------
def tenant(story):
    story.tell.head('An unrelated tenant fills the short path. The operator sees it coming and moves the flows '
                    'make-before-break.')
    s, marks = story, {n: len(story.logs.rows[n]) for n in SIDES}
    s.traffic.rate('order-execution', offered('order-execution', s.contract['order-execution'], DOWN))
    s.tenant = Traffic(s.lab, 'tenant', 'tenA', 'tenB', '7200', ['class=tenant,dst=fd10:7b::2,dport=7200,'
                                                                 'rate=1M,size=1400,count=4'])
    s.machine.calm()
    w, start = s.traffic.mark(), time.monotonic_ns()
    rate, moved = 40e6, False
    while rate < TENANT_TOP:
        rate += TENANT_STEP
        s.tenant.rate('tenant', rate)
        time.sleep(TENANT_EVERY)
        if not moved and all(away(s, m, marks['op']) for m in MOVERS):
            moved = True
            s.tell.say('demo', f'both flows have moved; the tenant is at {rate / 1e6:.0f} Mbit/s of 200')
    for m in MOVERS:
        wait_for(f'{m} leaves the short path', lambda m=m: away(s, m, marks['op']), 45)
    time.sleep(s.seconds(1.5, 0.5))
    reroute_rows(s, s.traffic.report(w), marks, s.machine.excuse(start))
    marks['began'] = start
    s.tenant.stop()
    s.tell.say('tenant', 'stops')
    return marks


def away(s, name, since):
    """The revision that moved it is in force at the operator."""
    lineage = s.lineage[name]
    return bool(s.logs.find('op', 'SERVICE_ACTIVE', since, deal=lineage)) and \
        s.agreement(name, 'op')['path'] != 1


def reroute_rows(s, got, marks, excuse):
    said = [r['output']['deal'] for r in s.logs.find('op', 'BREACH_PREDICTED', marks['op'])]
    hurt = [r['output']['deal'] for r in s.logs.find('op', 'BREACHED', marks['op'])]
    mine = [s.lineage[m] for m in MOVERS]
    s.table.row('forecast', 'the congestion is foreseen, not suffered', '2 predicted, 0 breached',
                f'{len(set(said) & set(mine))} predicted, {len(set(hurt) & set(mine))} breached',
                set(mine) <= set(said) and not set(mine) & set(hurt), excuse)
    loss_row(s.table, 'reroute:loss', 'order-execution and market-data over their reroute',
             {m: got[m] for m in MOVERS}, least=s.seconds(10000, 3000), excuse=excuse)
    for m in MOVERS:
        x = got[m]
        s.table.row(f'reroute:delay:{m}', f'{m}: one-way delay over the congestion', '<= 30 ms asked',
                    f'p99 {x["owd_us"]["p99"] / 1000:.1f} ms of {packets(x["received"])}',
                    x['owd_us']['p99'] <= 30000, excuse)


def walk_back(s, marks):
    """After recovery and cooling, the flows return to the short path at the old price."""
    for m in MOVERS:
        wait_for(f'{m} walks back', lambda m=m: s.agreement(m, 'op')['path'] == 1
                 and s.logs.find('op', 'COOLED', marks['op'], deal=s.lineage[m]), s.seconds(90, 90))
        wait_for(f'{m} is back in force', lambda m=m: s.lab.tool('edge', 'deal_show', id=s.lineage[m])
                 ['life'] in ('assured', 'ASSURED', 'restored', 'RESTORED'), 30)
    offers = [r['output'] for r in s.logs.find('op', 'RENEGOTIATION_OPENED', marks['op'])]
    ups = sum(o['reason'] == 3 for o in offers)
    backs = sum(o['reason'] == 5 for o in offers)
    s.table.row('back', 'after recovery and cooling both walk back to the short path', 'as many back as up',
                f'{ups} up, {backs} back', backs == ups >= 2, s.machine.excuse(marks['began']))


# --- 6: refusals -------------------------------------------------------------------------------
def refusals(s, since):
    """since: of the congestion before, if there was one: where it hurts by itself, its grade is not for sale."""
    s.tell.head('A second customer tries what must not work, at the operator\'s real A2A port.')
    r = Rival(s.lab)
    treasury = trust.Key(f'{s.lab.home("treasury")}/wallet.key')
    honest = r.wallet('rival-a', 1000000, r.key if 'wallet' in s.breaks else treasury)
    task, parts = r.ask('market-data', 5000000, 30000, honest)
    s.table.row('wallet:honest', 'its honest wallet is admitted, a menu comes', 'a quote', said(task),
                state(task) == 'input_required', s.machine.excuse(since))
    refused(s, 'wallet:forged', 'a wallet signed by another key', 'wallet_signature',
            r.ask('market-data', 5000000, 30000, r.wallet('rival-b', 1000000, r.key))[0])
    refused(s, 'wallet:replay', 'the same presentation once more', 'wallet_challenge', r.send(parts)['task'])
    poor = r.wallet('rival-c', 50, treasury)
    task, _ = r.ask('market-data', 5000000, 30000, poor)
    answer, amount = r.accept(task, poor)
    s.tell.say('enterprise', f'(the other one) accepts for {euro(amount)} with a wallet of {euro(50)}')
    refused(s, 'wallet:over', 'more than the wallet\'s ceiling', 'over_ceiling', answer['task'])


def said(task):
    return problem(task) or state(task)


def refused(s, key, what, want, task):
    s.logs.poll()
    s.table.row(key, f'refused: {what}', want, said(task), problem(task) == want)


# --- 7: kill -9 --------------------------------------------------------------------------------
def kills(s):
    s.tell.head('kill -9 of whole daemon trees, in mid-flow.')
    for c in UDP:
        s.traffic.rate(c, offered(c, s.contract[c], 0.25))
    time.sleep(0.3)
    for node, who in (('edge', 'the enterprise\'s edge'), ('popB', 'PoP B')):
        kill(s, node, who)


def kill(s, node, who):
    before = counters(s, node)
    w = s.traffic.mark()
    time.sleep(0.3)
    s.lab.treaty('kill', node, 'tree')
    s.tell.say('demo', f'kill -9 of all processes of treatyd at {who}')
    time.sleep(s.seconds(1, 0.5))
    s.lab.treaty('start', node)
    s.tell.say('demo', f'treatyd at {who} runs again')
    time.sleep(s.seconds(1, 0.5))
    got = s.traffic.report(w)
    loss_row(s.table, f'kill:{node}', f'{who}: daemons killed with -9 and restarted', got,
             least=s.seconds(10000, 3000))
    after = counters(s, node)
    back = [n for n in before if after.get(n, -1) < before[n]]
    s.table.row(f'kill:{node}:adopt', f'{who}: treaties adopted, counters go on', f'{len(before)} labels, none reset',
                f'{len(set(before) & set(after))} labels, {len(back)} reset', before and not back)


def counters(s, node):
    """{label in force: bytes seen} at a node, as its daemon reads them from the kernel's maps."""
    labels = {s.agreement(c)['label'] for c in s.lineage}
    rows = s.lab.tool(node, 'flow_list')['flows']
    return {f['label']: f['upBytes'] + f['downBytes'] for f in rows if f['label'] in labels}


# --- 10: the audit -----------------------------------------------------------------------------
def audit(s):
    """Logs verified and decided again; the books recomputed from prices and times."""
    s.tell.head('The audit: both logs, every decision again, both ledgers.')
    work = tempfile.mkdtemp(prefix='audit-', dir=s.lab.dir)
    try:
        for node, side in SIDES.items():
            where, proof = provable_copy(s, node, f'{work}/{node}')
            if node == 'edge' and 'log' in s.breaks:
                demo_faults.flip_a_byte(where)
            log_row(s, node, side, where)
            s.table.row(f'proof:{side}', f'an event of the {side}\'s log, provable',
                        'head cosigned by the other side', *proof)
        ledgers(s, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def log_row(s, node, side, where):
    runs = [s.lab.ctl(node, 'log', verb, '--state', where, check=False) for verb in ('verify', 'redecide')]
    bad = [r for r in runs if r.returncode]
    last = (bad[0].stderr or bad[0].stdout).strip().splitlines()[-1] if bad else ''
    n = len(s.logs.rows[node])
    s.table.row(f'log:{side}', f'the {side}\'s log: every hash, every decision', f'{n} events verify',
                f'{n} events verify, all decided alike' if not bad else last[:60], not bad)


def provable_copy(s, node, to, limit=30):
    """A copy of a side's databases that holds a head which the other side cosigned: it asks once a
    second, and again after 5 s. Gives (directory, (what was seen, whether the proof stands))."""
    end = time.monotonic() + limit
    while True:
        shutil.rmtree(to, ignore_errors=True)
        proof = prove(s, node, demo_faults.copy_state(s, node, to))
        if proof[1] or time.monotonic() > end:
            return to, proof
        time.sleep(0.5)


def prove(s, node, where):
    """One event as a file that a stranger checks with the two sides' documents alone."""
    docs = [f'--document={s.lab.dir}/treaty/documents/{name}.json' for name in SIDES]
    made = s.lab.ctl(node, 'log', 'prove', '1', '--state', where, '--out', f'{where}/1.proof', check=False)
    seen = s.lab.ctl(node, 'log', 'check-proof', f'{where}/1.proof', *docs, check=False)
    by = [c['did'] for c in json.loads(seen.stdout)['cosignedBy']] if not seen.returncode else []
    other = conf.did(next(n for n in SIDES if n != node))
    return f'cosigned by {", ".join(by)}' if by else (made.stderr or seen.stderr).strip()[-60:], by == [other]


def ledgers(s, work):
    books = {}
    for node, side in SIDES.items():
        event = 'AGREEMENT_ACCEPTED' if node == 'edge' else 'ACCEPTANCE_RECORDED'
        want = debits(s.logs.rows[node], event)
        if node == 'op' and 'debit' in s.breaks:
            demo_faults.tamper_debit(f'{work}/op')
        books[side] = captured(f'{work}/{node}')
        got, due = sum(books[side].get(k, 0) for k in want), sum(want.values())
        wrong = [k for k in want if books[side].get(k) != want[k]]
        s.table.row(f'debit:{side}', f'the {side}\'s debits, computed again from prices and times',
                    f'{euro(due)} in {len(want)} treaties', euro(got) + (f', {len(wrong)} differ' if wrong else ''),
                    want and not wrong)
    if 'debit' in s.breaks:
        return
    mine = set(s.lineage.values())
    one, two = ({k: v for k, v in books[b].items() if k in mine} for b in ('enterprise', 'operator'))
    s.table.row('ledgers', 'both ledgers agree', euro(sum(one.values())), euro(sum(two.values())),
                one == two and one)


def captured(directory):
    """{lineage: captured cents} from a copy of the ledger's own table."""
    with contextlib.closing(sqlite3.connect(f'file:{demo_faults.database(directory)}?mode=ro', uri=True)) as c:
        return dict(c.execute('SELECT lineage, captured FROM lineage'))

