// SPDX-License-Identifier: Apache-2.0
// The official MCP SDK as a client without certificate: it finds the metadata from our 401, calls with an access
// token, and gets insufficient_scope where the token has too little.
//   bearer.mjs keys DIR           makes an authorization server's key and its JWK set
//   bearer.mjs run URL DIR ISSUER
import { generateKeyPairSync, createPrivateKey, sign } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import assert from 'node:assert/strict';

const [what, ...args] = process.argv.slice(2);

function keys(dir) {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'sdk', use: 'sig', alg: 'ES256' };
  writeFileSync(`${dir}/as.jwks`, JSON.stringify({ keys: [jwk] }));
  writeFileSync(`${dir}/as.pem`, privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
}

function tokenOf(dir, issuer, aud, scope) {
  const b64 = (o) => Buffer.from(JSON.stringify(o)).toString('base64url');
  const now = Math.floor(Date.now() / 1000);
  const head = b64({ typ: 'at+jwt', alg: 'ES256', kid: 'sdk' });
  const claims = b64({ iss: issuer, aud, sub: 'sdk', client_id: 'sdk', jti: String(now), iat: now, exp: now + 300, scope });
  const key = createPrivateKey(readFileSync(`${dir}/as.pem`));
  const sig = sign('sha256', Buffer.from(`${head}.${claims}`), { key, dsaEncoding: 'ieee-p1363' });
  return `${head}.${claims}.${sig.toString('base64url')}`;
}

let rows = 0;
async function row(name, work) {
  await work();
  rows++;
  console.log(`ok   ${name}`);
}

async function run(url, dir, issuer) {
  const { Client } = await import('@modelcontextprotocol/sdk/client/index.js');
  const { StreamableHTTPClientTransport } = await import('@modelcontextprotocol/sdk/client/streamableHttp.js');
  const auth = await import('@modelcontextprotocol/sdk/client/auth.js');
  const connect = async (token) => {
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const client = new Client({ name: 'bearer', version: '1' });
    await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
    return client;
  };
  const good = tokenOf(dir, issuer, url, 'treaty:human treaty:read');

  await row('401 leads to the metadata', async () => {
    const r = await fetch(url, { method: 'POST', body: '{}', headers: { 'Content-Type': 'application/json' } });
    assert.equal(r.status, 401);
    const { resourceMetadataUrl } = auth.extractWWWAuthenticateParams(r);
    const m = await auth.discoverOAuthProtectedResourceMetadata(url, { resourceMetadataUrl });
    assert.equal(m.resource, url);
    assert.deepEqual(m.authorization_servers, [issuer]);
  });
  await row('metadata without being told where', async () => {
    const m = await auth.discoverOAuthProtectedResourceMetadata(url);
    assert.equal(m.resource, url);
  });
  await row('no token, no connection', async () => { await assert.rejects(connect(null)); });
  await row('another audience, no connection', async () => {
    await assert.rejects(connect(tokenOf(dir, issuer, 'https://other.example/mcp', 'treaty:human')));
  });
  await row('lists and calls', async () => {
    const c = await connect(good);
    const { tools } = await c.listTools();
    assert.ok(tools.some((t) => t.name === 'status'));
    const r = await c.callTool({ name: 'status', arguments: {} });
    assert.ok(r.structuredContent);
    const { resources } = await c.listResources();
    assert.ok(resources.length > 0);
    await c.close();
  });
  await row('too little scope is said', async () => {
    const c = await connect(tokenOf(dir, issuer, url, 'treaty:read'));
    await assert.rejects(c.callTool({ name: 'status', arguments: {} }), /403|insufficient_scope/);
    await c.close();
  });
  console.log(`bearer: ${rows} rows hold`);
}

if (what === 'keys') keys(args[0]);
else await run(...args);
