// SPDX-License-Identifier: Apache-2.0
// The official A2A JavaScript SDK as a server for our client, its card signed by the SDK.
// usage: node sdk-server.mjs PORT; prints "ready KID DID-KEY".
import { generateKeyPairSync } from 'node:crypto';
import express from 'express';
import { AgentCard, AGENT_CARD_PATH, generateAgentCardSignature } from '@a2a-js/sdk';
import { DefaultRequestHandler, InMemoryTaskStore } from '@a2a-js/sdk/server';
import { agentCardHandler, jsonRpcHandler, UserBuilder } from '@a2a-js/sdk/server/express';

const port = Number(process.argv[2]), url = `http://127.0.0.1:${port}/a2a`, kid = 'did:web:sdk.example#card';
const { publicKey, privateKey } = generateKeyPairSync('ed25519');
const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';

function didKey(key) {
	const raw = Buffer.concat([Buffer.from([0xed, 0x01]), Buffer.from(key.export({ format: 'jwk' }).x, 'base64url')]);
	let n = BigInt('0x' + raw.toString('hex')), text = '';
	for (; n; n /= 58n)
		text = ALPHABET[Number(n % 58n)] + text;
	return `did:key:z${text}`;
}

const data = (value) => ({ content: { $case: 'data', value }, metadata: undefined, filename: '', mediaType: 'application/json' });
const given = (ctx) => ctx.userMessage.parts.map((p) => p.content).find((c) => c?.$case === 'data')?.value;
const task = (ctx, state) => ({
	id: ctx.taskId, contextId: ctx.contextId, history: [], metadata: undefined,
	status: { state, message: undefined, timestamp: new Date().toISOString() },
	artifacts: state === 3 ? [{ artifactId: 'a', name: 'answer', description: '', parts: [data(given(ctx))], metadata: undefined, extensions: [] }] : [],
});

const executor = {
	async execute(ctx, bus) {
		const id = ctx.userMessage.messageId;
		const update = (state) => bus.publish({ kind: 'statusUpdate', data: { taskId: ctx.taskId, contextId: ctx.contextId, status: { state, message: undefined, timestamp: new Date().toISOString() }, metadata: undefined } });
		const streams = id.startsWith('tck-stream'), slow = id.startsWith('test-resubscribe');
		if (streams || slow) {
			bus.publish({ kind: 'task', data: task(ctx, 1) });
			update(2);
			if (slow)
				await new Promise((r) => setTimeout(r, 1500));
			bus.publish({ kind: 'artifactUpdate', data: { taskId: ctx.taskId, contextId: ctx.contextId, artifact: task(ctx, 3).artifacts[0], append: false, lastChunk: true, metadata: undefined } });
			update(3);
		} else if (id.startsWith('tck-message'))
			bus.publish({ kind: 'message', data: { messageId: `re-${id}`, role: 2, contextId: ctx.contextId, taskId: '', parts: [data(given(ctx))], metadata: undefined, extensions: [], referenceTaskIds: [] } });
		else
			bus.publish({ kind: 'task', data: task(ctx, id.startsWith('tck-input') ? 6 : 3) });
		bus.finished();
	},
	async cancelTask(taskId, bus, ctx) {
		bus.publish({ kind: 'statusUpdate', data: { taskId, contextId: ctx?.contextId ?? '', status: { state: 5, message: undefined, timestamp: new Date().toISOString() }, metadata: undefined } });
		bus.finished();
	},
};

const plain = AgentCard.fromJSON({
	name: 'SDK agent', description: 'The SDK as a server', version: '1',
	supportedInterfaces: [{ url, protocolBinding: 'JSONRPC', protocolVersion: '1.0', tenant: '' }],
	capabilities: { streaming: true, pushNotifications: true },
	defaultInputModes: ['application/json'], defaultOutputModes: ['application/json'],
	skills: [{ id: 'echo', name: 'echo', description: 'Says it again', tags: ['x'] }],
});
const card = await generateAgentCardSignature(privateKey, { alg: 'EdDSA', kid, typ: 'JOSE' })(plain);
const handler = new DefaultRequestHandler(card, new InMemoryTaskStore(), executor);
const app = express();
app.use(`/${AGENT_CARD_PATH}`, agentCardHandler({ agentCardProvider: handler }));
app.use('/a2a', jsonRpcHandler({ requestHandler: handler, userBuilder: UserBuilder.noAuthentication }));
app.listen(port, '127.0.0.1', () => console.log(`ready ${kid} ${didKey(publicKey)}`));
