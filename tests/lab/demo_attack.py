# SPDX-License-Identifier: Apache-2.0
"""A second customer of the operator, written in Python against the real A2A port: honest where it should be
admitted, and then forging, replaying and overspending. It has its own TLS identity and shares no code with
the daemons, so what both sides compute here, two implementations agree on."""
import datetime
import hashlib
import http.client
import json
import os
import ssl

import demo_lab
from demo_lab import DemoError, conf

import trust  # vagrant/lib: on the path by way of demo_lab

EXTENSION = 'https://treaty.example/a2a/negotiation/v1'
TIO = 'http://tio.models.tmforum.org/tio/v3.6.0/'
RDF_VALUE = 'http://www.w3.org/1999/02/22-rdf-syntax-ns#value'
HOST = 'fd10:ee:1::1'  # the operator as the enterprise's edge sees it


def stamp(hours=0):
    t = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=hours)
    return t.strftime('%Y-%m-%dT%H:%M:%S.') + f'{t.microsecond // 1000:03d}Z'


def now_ms():
    return int(datetime.datetime.now(datetime.timezone.utc).timestamp() * 1000)


def condition(flow_class, suffix, op, prop, value, unit):
    return {'@id': f'urn:treaty:intent:{flow_class}:{suffix}', '@type': [TIO + 'IntentCommonModel/Condition'],
            f'{TIO}QuantityOntology/{op}': [{'@list': [
                {TIO + 'IntentCommonModel/valuesOfTargetProperty': [{'@list': [{'@id': prop}]}]},
                {RDF_VALUE: [{'@value': value}], TIO + 'QuantityOntology/unit': [{'@value': unit}]}]}]}


def expression(c, flow, bandwidth, latency, availability):
    """TM Forum's intent ontology, expanded JSON-LD."""
    iri = f'urn:treaty:intent:{c}'
    conds = [condition(c, 'bw', 'atLeast', 'urn:treaty:ns:bandwidth', bandwidth, 'bit/s'),
             condition(c, 'lat', 'atMost', 'urn:treaty:ns:latency', latency, 'us'),
             condition(c, 'av', 'atLeast', 'urn:treaty:ns:availability', availability, 'ppm')]
    return {'@type': 'JsonLdExpression', 'iri': iri, 'expressionValue': {
        '@id': iri, '@type': TIO + 'IntentCommonModel/Intent', TIO + 'LogicalOperators/allOf': [{'@list': [
            {'@id': iri + ':pe', '@type': [TIO + 'IntentCommonModel/PropertyExpectation'],
             TIO + 'IntentCommonModel/target': [{'@id': f'urn:treaty:flow:{flow}'}],
             TIO + 'LogicalOperators/allOf': [{'@list': conds}]},
            {'@id': iri + ':re', '@type': [TIO + 'IntentCommonModel/ReportingExpectation'],
             TIO + 'IntentCommonModel/target': [{'@id': iri}]}]}]}}


def intent(digits, flow_class, bandwidth, latency, term_h=1):
    """A TMF921 body."""
    values = [('flowClass', flow_class), ('flowLabel', flow_class), ('bandwidthBps', bandwidth),
              ('latencyMicros', latency), ('availabilityPpm', 990000), ('intentId', f'int-{digits}'),
              ('negotiationId', f'neg-{digits}'), ('source', 1)]
    party = {'@type': 'PartyRef', 'id': 'enterprise-z', 'name': 'enterprise-z', '@referredType': 'Organization'}
    return {'@type': 'Intent', 'name': f'{flow_class} flow', 'version': '1', 'isBundle': False,
            'validFor': {'startDateTime': stamp(), 'endDateTime': stamp(term_h)},
            'lifecycleStatus': 'Declared',
            'characteristic': [{'@type': 'StringCharacteristic' if isinstance(v, str) else 'IntegerCharacteristic',
                                'name': k, 'valueType': 'string' if isinstance(v, str) else 'integer',
                                'value': v} for k, v in values],
            'relatedParty': [{'@type': 'RelatedPartyRefOrPartyRoleRef', 'role': 'customer',
                              'partyOrPartyRole': party}],
            'expression': expression(flow_class, flow_class, bandwidth, latency, 990000)}


def wallet_body(name, ceiling):
    """An IntentWallet for one class, cents."""
    floor = {'availabilityPpm': 900000, 'latencyMaxUs': 30000, 'bandwidthMinKbps': 1000}
    window = {'notBefore': stamp(-1), 'notAfter': stamp(48)}
    return {
        'id': f'urn:treaty:wallet:{name}:1', 'issuer': conf.ISSUER, 'validFrom': stamp(-1), 'validUntil': stamp(48),
        'credentialSubject': {
            'id': conf.RIVAL, 'type': 'IntentWallet', 'walletId': f'urn:treaty:wallet:{name}', 'generation': 1,
            'operator': [conf.did('op')],
            'envelope': {'ceiling': {'amount': ceiling, 'currency': conf.CURRENCY}, 'accounting': 'cumulative',
                         'perAgreementMax': 10 ** 9, 'maxTermSeconds': 86400},
            'workloadClass': [{'class': 'market-data', 'ceiling': 10 ** 9, 'slaFloor': floor,
                               'onScarcity': 'step-up'}],
            'timeWindow': window,
            'policy': {'id': 'urn:treaty:policy:lab', 'digestMultibase': trust.multibase_digest({}),
                       'humanApprovalAbove': ceiling},
            'delegation': {'allowed': False, 'depth': 0}}}


class Rival:
    """enterprise-z: its key, its wallet, its conversation with the operator."""

    def __init__(self, lab):
        self.lab, self.home = lab, lab.home('rival')
        self.key = trust.Key(f'{self.home}/agent.key')
        self.n = 0

    def post(self, body):
        def work():
            ctx = ssl.create_default_context(cafile=f'{self.home}/ca.pem')
            ctx.minimum_version = ssl.TLSVersion.TLSv1_3
            ctx.load_cert_chain(f'{self.home}/tls.pem', f'{self.home}/tls.key')
            c = http.client.HTTPSConnection(HOST, conf.PORT, timeout=10, context=ctx)
            try:
                c.request('POST', '/a2a', json.dumps(body), {
                    'Content-Type': 'application/json', 'A2A-Version': '1.0', 'A2A-Extensions': EXTENSION})
                return json.loads(c.getresponse().read())
            finally:
                c.close()
        try:
            return demo_lab.in_namespace(self.lab.pids['edge'], work)
        except (OSError, ValueError) as e:
            raise DemoError(f'the operator\'s A2A port: {e}') from e

    def send(self, parts, task=None, message_id=None):
        self.n += 1
        m = {'messageId': message_id or f'm-rival-{os.getpid()}-{self.n}', 'role': 'ROLE_USER',
             'parts': [{'data': p, 'mediaType': 'application/json'} for p in parts], 'extensions': [EXTENSION]}
        if task:
            m['taskId'] = task
        answer = self.post({'jsonrpc': '2.0', 'id': self.n, 'method': 'SendMessage', 'params': {'message': m}})
        if 'error' in answer:
            raise DemoError(f'the operator answers {answer["error"]}')
        return answer['result']

    def challenge(self):
        said = self.send([{'@type': 'TreatyChallengeRequest'}])
        return said['message']['parts'][0]['data']['challenge']

    def wallet(self, name, ceiling, key):
        """A credential that names the treasury as its issuer, signed with `key`."""
        return trust.wallet(wallet_body(name, ceiling), key, stamp())

    def present(self, credential, body, challenge):
        ident = next(c['value'] for c in body['characteristic'] if c['name'] == 'intentId')
        return trust.presentation(credential, conf.RIVAL, self.key, conf.did('op'), challenge, body, ident,
                                  stamp())

    def ask(self, flow_class, bandwidth, latency, credential):
        """Intent and presentation; gives (the operator's task, what was sent)."""
        body = intent(os.urandom(8).hex(), flow_class, bandwidth, latency)
        parts = [body, self.present(credential, body, self.challenge())]
        return self.send(parts)['task'], parts

    @staticmethod
    def choice(task, credential, at=0):
        """QuoteAccept of an item of the menu, with every number computed here."""
        quote = artifact(task, 'quote')
        item = quote['quoteItem'][at]
        prices = {p['name']: round(p['price']['dutyFreeAmount']['value'] * 100) for p in item['quoteItemPrice']}
        term = next(c['value'] for c in item['product']['productCharacteristic'] if c['name'] == 'termMillis')
        digest = hashlib.sha256(trust.jcs(quote)).hexdigest()
        negotiation = quote['externalId'][0]['id']
        price, start = sum(prices.values()), now_ms()
        amount = -(-price * term // 3600000)
        key = hashlib.sha256(b'treaty/hold/v1\0' + negotiation.replace('neg-', 'agr-').encode() + b'\0'
                             + (1).to_bytes(8, 'big') + bytes.fromhex(digest)).hexdigest()
        return {'@type': 'QuoteAccept', 'deal': negotiation, 'quote': quote['id'],
                'version': int(quote['version']), 'item': int(item['id']), 'quote_digest': digest,
                'margin': prices['margin'], 'price': price, 'hold': 'h-' + key[:32],
                'wallet': credential['credentialSubject']['walletId'], 'held': amount, 'amount': amount,
                'start': start, 'end': start + term, 'why': ''}

    def accept(self, task, credential):
        part = self.choice(task, credential)
        return self.send([part], task['id']), part['amount']


def artifact(task, name):
    """The newest of that name in a task, or None."""
    found = [a for a in task.get('artifacts', []) if a['name'] == name]
    return found[-1]['parts'][0]['data'] if found else None


def state(task):
    return task['status']['state'].replace('TASK_STATE_', '').lower()


def problem(task):
    """The refusal's name in a task that was rejected, or ''."""
    parts = task['status'].get('message', {}).get('parts', [])
    return next((p['data'].get('type', '') for p in parts if p.get('data', {}).get('@type') == 'Problem'), '')
