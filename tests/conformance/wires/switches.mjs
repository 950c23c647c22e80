// SPDX-License-Identifier: Apache-2.0
// The conformance build with push and streaming off and its extension required: what its card says, and what each
// call gets. usage: node switches.mjs URL; exit 0 only when every row holds.
const url = process.argv[2], extension = 'urn:a2a:tck:required-extension';
let failed = 0;

function row(name, ok, more) {
	console.log(`${ok ? 'ok  ' : 'FAIL'} ${name}${ok ? '' : ' ' + JSON.stringify(more)}`);
	failed += !ok;
}

async function call(method, params, more) {
	const r = await fetch(`${url}/a2a`, {
		method: 'POST', body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
		headers: { 'content-type': 'application/json', 'a2a-version': '1.0', ...more },
	});
	return r.json();
}

const card = await (await fetch(`${url}/.well-known/agent-card.json`)).json();
const declared = card.capabilities.extensions?.find((e) => e.uri === extension);
row('card: no streaming, no push', card.capabilities.streaming === false && card.capabilities.pushNotifications === false, card);
row('card: the extension is required', declared?.required === true, card);
const active = { 'a2a-extensions': extension };
const message = (id) => ({ message: { messageId: `${id}-${Math.random()}`, role: 'ROLE_USER', parts: [{ text: 'hello' }] } });
let r = await call('SendMessage', message('tck-complete-task'), {});
row('without the extension: -32008', r.error?.code === -32008, r);
r = await call('SendMessage', message('tck-input-required'), active);
row('with it: a task', r.result?.task?.status?.state === 'TASK_STATE_INPUT_REQUIRED', r);
const id = r.result?.task?.id;
r = await call('SendStreamingMessage', message('tck-stream-001'), active);
row('streaming: -32004', r.error?.code === -32004, r);
r = await call('SubscribeToTask', { id }, active);
row('subscribing: -32004', r.error?.code === -32004, r);
r = await call('CreateTaskPushNotificationConfig', { taskId: id, url: 'http://127.0.0.1:1/' }, active);
row('push: -32003', r.error?.code === -32003, r);
console.log(failed ? `${failed} rows failed` : 'all rows hold');
process.exit(failed ? 1 : 0);
