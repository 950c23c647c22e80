// SPDX-License-Identifier: Apache-2.0
// The suites speak plain HTTP and have no client certificate: this adds one, and changes nothing else.
// usage: node mtls-proxy.mjs PORT TARGET-PORT DIR NAME; DIR holds ca.pem, NAME.pem, NAME.key.
import http from 'node:http';
import https from 'node:https';
import { readFileSync } from 'node:fs';

const [port, target, dir, name] = process.argv.slice(2);
const tls = {
	host: '127.0.0.1', port: Number(target), ca: readFileSync(`${dir}/ca.pem`),
	cert: readFileSync(`${dir}/${name}.pem`), key: readFileSync(`${dir}/${name}.key`), minVersion: 'TLSv1.3',
	servername: '', checkServerIdentity: () => undefined, // the Host header may say anything; the CA is the lab's own
};

http.createServer((req, res) => {
	const up = https.request({ ...tls, method: req.method, path: req.url, headers: req.headers, setHost: false, agent: false }, (r) => {
		res.writeHead(r.statusCode, r.headers);
		r.pipe(res);
	});
	up.on('error', () => (res.headersSent ? res.destroy() : res.writeHead(502).end()));
	res.on('close', () => up.destroy());
	req.pipe(up);
}).listen(Number(port), '127.0.0.1', () => console.log('ready'));
