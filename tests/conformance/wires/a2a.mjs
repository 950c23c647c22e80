// SPDX-License-Identifier: Apache-2.0
// The official A2A JavaScript SDK as a client of the conformance build, over both bindings.
// usage: node a2a.mjs URL; exit 0 only when every row holds.
import { createPrivateKey, createPublicKey } from 'node:crypto';
import http from 'node:http';
import { verifyAgentCardSignature } from '@a2a-js/sdk';
import { ClientFactory, JsonRpcTransportFactory, RestTransportFactory } from '@a2a-js/sdk/client';

const url = process.argv[2];
let failed = 0;

function row(name, ok, more) {
	console.log(`${ok ? 'ok  ' : 'FAIL'} ${name}${ok ? '' : ' ' + JSON.stringify(more)}`);
	failed += !ok;
}

// The SDK's own error of that name, as it knows it by our code or reason.
async function refused(name, want, promise) {
	try {
		row(name, false, await promise);
	} catch (e) {
		row(name, !want || e.name === want, String(e));
	}
}

// The SDK's objects carry unions as {$case, value}; a test reads them without caring.
const plain = (o) => o?.payload?.value ?? o?.task ?? o?.message ?? o;
const text = (o) => JSON.stringify(o);
const state = (t) => t?.status?.state;
const COMPLETED = [3, 'TASK_STATE_COMPLETED'], INPUT = [6, 'TASK_STATE_INPUT_REQUIRED'];
const message = (id, more) => ({
	message: {
		messageId: `${id}-${Math.random()}`, role: 1, contextId: '', taskId: '', extensions: [],
		referenceTaskIds: [], metadata: undefined,
		parts: [{ content: { $case: 'text', value: 'hello' }, metadata: undefined, filename: '', mediaType: 'text/plain' }],
		...more,
	},
	configuration: undefined, metadata: undefined, tenant: '',
});

async function bindings(name, transport) {
	const factory = new ClientFactory({ transports: [transport], preferredTransports: [transport.protocolName] });
	const client = await factory.createFromUrl(url);
	const card = await client.getAgentCard();
	row(`${name} card`, card.name === 'treatyd-conformance' && card.signatures?.length === 1, card);
	let t = plain(await client.sendMessage(message('tck-artifact-data')));
	row(`${name} send`, COMPLETED.includes(state(t)) && text(t).includes('42'), t);
	const m = plain(await client.sendMessage(message('tck-message-response')));
	row(`${name} message`, text(m).includes('a message'), m);
	const events = [];
	for await (const e of client.sendMessageStream(message('tck-stream-artifact-chunked')))
		events.push(plain(e));
	row(`${name} stream`, events.length === 5 && COMPLETED.includes(state(events[4])), events);
	let held;
	for await (const e of client.sendMessageStream(message('test-resubscribe-message-id'))) {
		held = plain(e);
		break;
	}
	const again = [];
	for await (const e of client.resubscribeTask({ id: held.id, tenant: '' }))
		again.push(plain(e));
	row(`${name} subscribe`, again.length >= 2 && COMPLETED.includes(state(again.at(-1))), again);
	t = plain(await client.sendMessage(message('tck-input-required')));
	row(`${name} input`, INPUT.includes(state(t)), t);
	const got = await client.getTask({ id: t.id, tenant: '' });
	row(`${name} get`, got.id === t.id, got);
	const hook = await client.createTaskPushNotificationConfig({
		tenant: '', id: 'hook', taskId: t.id, url: `http://127.0.0.1:${webhook.port}/`, token: 'tok', authentication: undefined });
	row(`${name} push create`, hook.id === 'hook', hook);
	t = plain(await client.sendMessage(message('more', { taskId: t.id, contextId: t.contextId })));
	row(`${name} follow-up`, COMPLETED.includes(state(t)), t);
	for (let i = 0; i < 100 && !webhook.bodies.length; i++)
		await new Promise((r) => setTimeout(r, 50));
	row(`${name} push delivered`, webhook.bodies.splice(0).join().includes('TASK_STATE_COMPLETED') && webhook.token === 'tok');
	const c = plain(await client.sendMessage(message('tck-input-required')));
	const canceled = await client.cancelTask({ id: c.id, tenant: '', metadata: undefined });
	row(`${name} cancel`, text(canceled).includes('CANCELED') || state(canceled) === 5, canceled);
	const list = await client.listTasks({ tenant: '', contextId: '', status: 0, pageSize: 2, pageToken: '' });
	row(`${name} list`, list.tasks.length === 2 && list.nextPageToken !== '', list);
	await refused(`${name} unknown task`, 'TaskNotFoundError', client.getTask({ id: 'nope', tenant: '' }));
	await refused(`${name} terminal`, 'TaskNotCancelableError', client.cancelTask({ id: t.id, tenant: '' }));
	await refused(`${name} subscribe to the end`, 'UnsupportedOperationError', (async () => {
		for await (const e of client.resubscribeTask({ id: t.id, tenant: '' }))
			return e;
	})());
	await refused(`${name} bad page`, 'RequestMalformedError',
		client.listTasks({ tenant: '', contextId: '', status: 0, pageSize: 2, pageToken: 'x' }));
}

// The SDK (and jose beneath it) looks at our card's signature; the build's key is known to all.
async function signature() {
	const seed = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), Buffer.from([7]), Buffer.alloc(31)]);
	const key = createPublicKey(createPrivateKey({ key: seed, format: 'der', type: 'pkcs8' }));
	const card = await (await fetch(`${url}/.well-known/agent-card.json`)).json();
	const verify = verifyAgentCardSignature(async (kid) => {
		row('card names its key', kid === 'did:web:conformance.example#card', kid);
		return key;
	});
	await verify(card);
	row('card verifies', true);
	await refused('card changed', '', verify({ ...card, name: 'another' }));
}

const webhook = { bodies: [], token: '', port: 0 };
const server = http.createServer((req, res) => {
	let body = '';
	webhook.token = req.headers['x-a2a-notification-token'];
	req.on('data', (d) => (body += d)).on('end', () => {
		webhook.bodies.push(body);
		res.end();
	});
});
await new Promise((r) => server.listen(0, '127.0.0.1', r));
webhook.port = server.address().port;
try {
	await signature();
	await bindings('json-rpc', new JsonRpcTransportFactory());
	await bindings('http+json', new RestTransportFactory());
} catch (e) {
	row('no exception', false, String(e.stack ?? e));
}
server.close();
console.log(failed ? `${failed} rows failed` : 'all rows hold');
process.exit(failed ? 1 : 0);
