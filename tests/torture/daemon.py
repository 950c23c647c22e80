#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The ledgers of the shipped daemons under torture: clients of the operator's A2A port that hold, capture, replay,
alter, fork and re-issue wallets, and clients of the enterprise's unix socket that declare and end, while both daemon
trees are killed with -9 at random. Afterwards both logs and ledgers are read by plain SQL and by treatyctl.

daemon.py BUILD SECONDS KILLS [SEED]     exit 0, 1 with what broke, 77 not root"""
import collections
import contextlib
import glob
import json
import os
import random
import signal
import sqlite3
import sys
import threading
import time

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'lab'))
from demo_lab import DemoError, Lab, conf  # noqa: E402
import daemons  # noqa: E402  vagrant/lib, by way of demo_lab
import demo_attack  # noqa: E402
import trust  # noqa: E402

ROUND_S = 60       # a daemon knows 1,024 negotiations: then a fresh lab
CLIENTS = {'rival': 6, 'edge': 2}
PATIENCE_S = 60    # for an answer, over as many lives of the daemon as it takes
STATE = {'held': 0, 'captured': 1}


FINISHED = {'id': '', 'status': {'state': 'TASK_STATE_REJECTED', 'message': {'parts': [
    {'data': {'@type': 'Problem', 'type': 'task finished'}}]}}}


class Broken(Exception):
    """An answer that may never be given."""


class Shared:
    """What all threads of a round write to."""

    def __init__(self, lab, status, until, seed):
        self.lab, self.status, self.until, self.seed = lab, status, until, seed
        self.lock = threading.Lock()
        self.acked, self.broken = [], []
        self.ceilings = {}  # (wallet, generation): cents
        self.said = collections.Counter()
        self.kills = 0

    def over(self):
        return time.monotonic() > self.until or self.broken

    def ack(self, what, name, amount=0):
        with self.lock:
            self.acked.append((what, name, amount))

    def count(self, word):
        with self.lock:
            self.said[word] += 1

    def run(self, work):
        try:
            work()
        except Broken as e:
            self.broken.append(str(e))
        except Exception as e:  # pylint: disable=broad-except
            self.broken.append(f'{type(e).__name__}: {e}')


# --- a client of the operator ------------------------------------------------------------------
class Cheat(demo_attack.Rival):
    """One wallet after the other, each with a few agreements, re-issued when it is full."""

    def __init__(self, shared, no):
        super().__init__(shared.lab)
        self.s, self.no, self.sent, self.told = shared, no, 0, None
        self.rnd = random.Random(shared.seed * 100 + no)
        self.signer = trust.Key(f'{self.home}/agreement.key')
        self.treasury = trust.Key(f'{shared.lab.home("treasury")}/wallet.key')

    def message(self):
        self.sent += 1
        return f't{self.no}-{self.sent}-{os.getpid()}-{self.rnd.getrandbits(40):x}'

    def ask_until(self, parts, task=None, message_id=None):
        """Until it is answered: the same message under the same id. self.told is the task that it named at last:
        a message of the same id that names another one is another message."""
        message_id = message_id or self.message()
        end = time.monotonic() + PATIENCE_S
        while True:
            self.told = task
            try:
                return self.send(parts, task, message_id), message_id
            except (DemoError, KeyError) as e:
                if 'TASK_NOT_FOUND' in str(e):  # tasks end with the daemon, what they agreed does not
                    task, message_id = None, self.message()
                if 'UNSUPPORTED_OPERATION' in str(e):  # a refusal has ended the task
                    return {'task': FINISHED}, message_id
                if time.monotonic() > end:
                    raise Broken(f'no answer for {PATIENCE_S} s: {e}') from e
                time.sleep(0.1)

    def issue(self, name, generation, ceiling, before=None):
        body = demo_attack.wallet_body(name, ceiling)
        body['id'] = f'urn:treaty:wallet:{name}:{generation}'
        body['credentialSubject']['generation'] = generation
        if before:
            body['credentialSubject']['supersedes'] = before['id']
        self.s.ceilings[(f'urn:treaty:wallet:{name}', generation)] = ceiling
        return trust.wallet(body, self.treasury, demo_attack.stamp())

    def quote(self, wallet):
        """A task with a menu, or None; every refusal is counted by its name."""
        body = demo_attack.intent(f'{self.rnd.getrandbits(64):016x}', 'market-data', 1000000, 30000)
        said, _ = self.ask_until([{'@type': 'TreatyChallengeRequest'}])
        challenge = said['message']['parts'][0]['data'].get('challenge')
        if not challenge:
            return None
        parts = [body, self.present(wallet, body, challenge)]
        task = self.ask_until(parts)[0]['task']
        if self.rnd.random() < 0.1:  # the presentation once more
            again = self.ask_until(parts)[0]['task']
            if demo_attack.artifact(again, 'quote') and again['id'] != task['id']:
                raise Broken('a replayed presentation got a menu')
        if not demo_attack.artifact(task, 'quote'):
            self.s.count(demo_attack.problem(task) or 'no menu')
            return None
        return task

    def hold(self, task, wallet):
        """(part, agreement) of an acceptance that was acknowledged by a signed agreement, or None."""
        part = self.choice(task, wallet)
        answer, message_id = self.ask_until([part], task['id'])
        told = self.told
        vc = demo_attack.artifact(answer['task'], 'agreement')
        if not vc:
            self.s.count(demo_attack.problem(answer['task']) or 'not signed')
            return None
        self.s.ack('held', part['hold'], part['amount'])
        if self.rnd.random() < 0.3:
            self.attack_hold(told, part, message_id, vc)
        return part, vc

    def attack_hold(self, told, part, message_id, vc):
        answer = self.ask_until([part], told, message_id)[0]['task']
        if demo_attack.artifact(answer, 'agreement') != vc and answer is not FINISHED:
            raise Broken('the same message got another agreement')
        for change in ({'amount': part['amount'] - 1}, {'price': part['price'] - 1},
                       {'hold': 'h-' + '0' * 32}, {'held': part['held'] + 7}):
            answer = self.ask_until([{**part, **change}], told)[0]['task']
            if not demo_attack.problem(answer) and demo_attack.artifact(answer, 'agreement') != vc:
                raise Broken(f'an acceptance with {change} was taken')
            self.s.count('altered: ' + (demo_attack.problem(answer) or 'answered as before'))

    def credential(self, kind, subject, name):
        now = demo_attack.stamp()
        body = {'id': f'urn:treaty:{kind.lower()}:{name}:{self.rnd.getrandbits(48):x}', 'issuer': conf.RIVAL,
                'validFrom': now, 'credentialSubject': subject}
        return trust.secure(body, ['VerifiableCredential', kind], self.signer, conf.RIVAL + '#agreement',
                            'assertionMethod', now, context=trust.AGREEMENT)

    def settle(self, part, vc, chain):
        """Countersigns; chain is the wallet's last receipt. True when the capture was acknowledged."""
        s = vc['credentialSubject']['treaty']
        acceptance = self.credential('AcceptanceCredential', {
            'type': 'AgreementAcceptance', 'agreementDigest': trust.multibase_digest(vc),
            'lineageId': s['lineageId'], 'revision': s['revision'], 'holdId': part['hold']}, s['lineageId'])
        total = chain.get('total', 0) + part['held']
        receipt = {'type': 'DebitReceipt', 'walletId': part['wallet'], 'holdId': part['hold'],
                   'lineageId': s['lineageId'], 'revision': s['revision'], 'amount': part['held'],
                   'cumulativeAfter': total, 'currency': conf.CURRENCY, 'ledgerSeq': chain.get('seq', 0) + 1}
        if 'digest' in chain:
            receipt['prevReceiptDigest'] = chain['digest']
        parts = [acceptance, self.credential('DebitReceiptCredential', receipt, s['lineageId'])]
        if self.rnd.random() < 0.2:
            self.attack_receipt(acceptance, receipt, s['lineageId'])
        answer, message_id = self.ask_until(parts)
        what = answer.get('task') or {}
        if demo_attack.problem(what):
            self.s.count('settle: ' + demo_attack.problem(what))
            return False
        self.s.ack('captured', part['hold'], part['held'])
        chain.update(total=total, seq=receipt['ledgerSeq'], digest=trust.multibase_digest(parts[1]))
        if self.rnd.random() < 0.3:  # once more, under the old and under a new id
            self.ask_until(parts, message_id=message_id)
            self.ask_until(parts)
        return True

    def attack_receipt(self, acceptance, receipt, name):
        for change in ({'amount': receipt['amount'] + 1}, {'cumulativeAfter': receipt['cumulativeAfter'] + 1},
                       {'prevReceiptDigest': trust.multibase_digest('no receipt')}):
            bad = self.credential('DebitReceiptCredential', {**receipt, **change}, name)
            answer = self.ask_until([acceptance, bad])[0].get('task') or {}
            if not demo_attack.problem(answer):
                raise Broken(f'a receipt with {change} was taken')
            self.s.count('receipt: ' + demo_attack.problem(answer))

    def equivocate(self, name, generation):
        """The same generation with another ceiling is evidence, not a wallet."""
        body = demo_attack.wallet_body(name, 10 ** 7)
        body['id'] = f'urn:treaty:wallet:{name}:{generation}'
        body['credentialSubject']['generation'] = generation
        if self.quote(trust.wallet(body, self.treasury, demo_attack.stamp())):
            raise Broken('an equivocating generation got a menu')

    def life(self, n):
        name, chain, before = f'c{self.no}-{n}-{self.s.seed}', {}, None
        for generation in (1, 2):
            before = self.issue(name, generation, self.rnd.randrange(3000, 9000) * generation, before)
            for _ in range(4):
                task = None if self.s.over() else self.quote(before)
                held = task and self.hold(task, before)
                if not held:
                    break
                if self.rnd.random() < 0.8 and not self.settle(*held, chain):
                    break
        if not self.s.over() and self.rnd.random() < 0.3:
            self.equivocate(name, 2)

    def loop(self):
        n = 0
        while not self.s.over():
            self.life(n)
            n += 1


# --- a client of the enterprise's unix socket ---------------------------------------------------
def edge_client(s, no):
    rnd = random.Random(s.seed * 100 + 50 + no)
    mine = [c for i, c in enumerate(conf.CLASSES) if i % CLIENTS['edge'] == no]
    while not s.over():
        try:
            name = rnd.choice(mine)
            got = s.lab.tool('edge', 'intent_declare', **{'class': name})
            s.ack('declared', got.get('intent') or got.get('id') or json.dumps(got))
            deals = [d for d in s.lab.tool('edge', 'deal_list')['deals']
                     if d['class'] in mine and d['rev'] and d['life'].upper() != 'TERMINATED']
            if deals and rnd.random() < 0.5:
                end = rnd.choice(deals)['id']
                s.lab.tool('edge', 'agreement_terminate', id=end, reason='torture')
                s.ack('ended', end)
        except DemoError as e:  # down, or refused by rule
            s.count('edge: ' + str(e).split(':')[1].strip()[:24])
        time.sleep(0.3 + rnd.random())


# --- the killer --------------------------------------------------------------------------------
def killer(s, node, every):
    rnd = random.Random(s.seed * 100 + 90 + len(node))
    while not s.over():
        time.sleep(rnd.uniform(0.2, 2 * every))
        try:
            daemons.kill(s.status, node, 'tree')
            s.count(f'killed {node}')
            with s.lock:
                s.kills += 1
            daemons.start(s.status, node)
            if rnd.random() < 0.8:  # some come while it still starts
                daemons.wait_ready(s.status, node, daemons.log_size(s.status, node) and 0)
        except daemons.LabError as e:
            if 'no tree runs' not in str(e):
                raise


# --- the audit, by other readers ----------------------------------------------------------------
def database(lab, node):
    return glob.glob(f'{lab.home(node)}/state/**/treaty.db', recursive=True)[0]


def number(c, sql):
    return c.execute(sql).fetchone()[0]


def over_ceiling(c, s):
    """No row may make a wallet's sum grow past the ceiling of the generation in force at that row."""
    names = {i: (w, top) for i, w, top in c.execute('SELECT id, wallet_id, ceiling FROM wallet')}
    total, ceiling, bad = collections.Counter(), {}, 0
    for w, kind, rev, held, captured in c.execute(
            'SELECT wallet, kind, rev, held, captured FROM journal ORDER BY seq'):
        name, top = names[w]
        if kind == 'issue':
            ceiling[w] = s.ceilings.get((name, rev), top)
        total[w] += held + captured
        bad += held + captured > 0 and total[w] > ceiling[w]
    return bad


def lost(c, s):
    """What was acknowledged and is not there."""
    gone = []
    for what, name, amount in s.acked:
        if what in ('held', 'captured'):
            row = c.execute("SELECT state, amount, total FROM journal WHERE kind='hold' AND hold_id=?", (name,)).fetchone()
            if not row or (what == 'captured' and (row[0] != STATE[what] or row[1] != amount)) or \
                    (what == 'held' and row[2] != amount):
                gone.append((what, name, amount, row))
    return gone


def audit(s):
    wrong = {}
    for node in ('op', 'edge'):
        where = os.path.dirname(database(s.lab, node))
        for verb in ('verify', 'replay', 'redecide'):
            r = s.lab.ctl(node, 'log', verb, '--state', where, check=False)
            if r.returncode:
                wrong[f'{node}: log {verb}'] = (r.stderr or r.stdout).strip()[-200:]
            if verb == 'redecide':
                print(f'  {node}: {r.stdout.strip().splitlines()[-1] if r.stdout else ""}')
        with contextlib.closing(sqlite3.connect(f'file:{database(s.lab, node)}?mode=ro', uri=True)) as c:
            wrong[f'{node}: over a ceiling'] = over_ceiling(c, s)
            wrong[f'{node}: captured twice'] = number(
                c, "SELECT count(*) FROM (SELECT 1 FROM journal WHERE kind='capture' GROUP BY wallet, hold_id"
                   " HAVING count(*)>1)") + number(
                c, 'SELECT count(*) FROM (SELECT 1 FROM journal WHERE state=1 GROUP BY line, rev'
                   ' HAVING count(*)>1)')
            captures = number(c, "SELECT count(*) FROM journal WHERE kind='capture'")
            print(f'  {node}: {number(c, "SELECT count(*) FROM event")} events, '
                  f'{number(c, "SELECT count(*) FROM journal")} journal rows, {captures} captures')
            if node == 'op':
                wrong['acknowledged and lost'] = lost(c, s)
            else:
                known = {r[0] for r in c.execute("SELECT json_extract(body,'$.output.id') FROM event WHERE"
                                                 " json_extract(body,'$.event')='INTENT_DECLARED'")}
                wrong['declared and lost'] = [a for a in s.acked if a[0] == 'declared' and a[1] not in known]
    wrong['names at nodes'] = names_at_nodes(s.lab)
    return {k: v for k, v in wrong.items() if v}


def names_at_nodes(lab):
    """A node of the operator never holds who its customers are."""
    found = []
    for node in ('popA', 'popB', 'popC'):
        for path in glob.glob(f'{lab.home(node)}/state/**/*', recursive=True):
            if os.path.isfile(path):
                with open(path, 'rb') as f:
                    data = f.read()
                found += [(node, w) for w in (conf.did('edge'), conf.RIVAL, 'enterprise-x', 'enterprise-z')
                          if w.encode() in data]
    return found


# --- rounds ------------------------------------------------------------------------------------
def one_round(build, seconds, every, seed):
    lab = Lab(build, f'torture{os.getpid()}')
    try:
        lab.up({'hold-intervals': 20, 'cool-intervals': 10})
        status = {'dir': lab.dir, 'pids': lab.pids}
        s = Shared(lab, status, time.monotonic() + seconds, seed)
        work = [Cheat(s, i).loop for i in range(CLIENTS['rival'])]
        work += [lambda n=n: edge_client(s, n) for n in range(CLIENTS['edge'])]
        work += [lambda n=n: killer(s, n, every) for n in ('op', 'edge')]
        threads = [threading.Thread(target=s.run, args=(w,)) for w in work]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        for node in conf.DAEMONS:
            with contextlib.suppress(daemons.LabError):
                daemons.kill(status, node, 'tree')
        wrong = audit(s)
        if s.broken or wrong:
            print('\n'.join(lab.tails()), file=sys.stderr)
        return s, wrong
    finally:
        lab.down()


def main():
    if len(sys.argv) < 4:
        print(__doc__, file=sys.stderr)
        return 2
    if os.geteuid():
        return 77
    build, seconds, want = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else int(time.time())
    os.environ['TREATY_BUILD'] = os.path.abspath(build)
    spent, kills, acked, said = 0.0, 0, collections.Counter(), collections.Counter()
    print(f'torture of the daemons: seed {seed}', flush=True)
    while spent < seconds or kills < want:
        length = min(ROUND_S, seconds)
        s, wrong = one_round(build, length, max(0.3, seconds / want - 0.5), seed)
        spent, kills, seed = spent + length, kills + s.kills, seed + 1
        acked.update(a[0] for a in s.acked)
        said += s.said
        print(f'  {kills} kills, {dict(acked)}', flush=True)
        if s.broken or wrong:
            print(f'torture: broken: {s.broken} {wrong}')
            return 1
    print(f'torture of the daemons: {spent:.0f} s, {kills} kills, {sum(CLIENTS.values())} clients, '
          f'{dict(acked)} acknowledged: 0 over a ceiling, 0 captured twice, 0 lost, 0 breaks')
    print('  answers: ' + ', '.join(f'{k} {v}' for k, v in sorted(said.items())))
    return 0


for _s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(_s, lambda n, _: sys.exit(128 + n))
sys.exit(main())
