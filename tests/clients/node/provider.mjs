// An external OpenID provider for tests: npm's oidc-provider, with accounts of its own.
//
// It listens on a port that the system chose and prints its issuer as JSON. `POST /control` changes
// what is sent as JSON: `redirect_uris` of the one client, `accounts` (claims by subject), `amr` and
// `acr` of sign-ins; with `rotate` it signs with a new key from then on, and with `withdraw` it shows
// no key of before.

import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { generateKeyPair, exportJWK } from 'jose';
import Provider from 'oidc-provider';

const CLIENT = 'latchgate';
const known = { redirect_uris: [], accounts: {}, amr: undefined, acr: undefined };
const secret = process.argv[2];
let keys = [];
let provider;
let issuer;

async function newKey() {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  return { ...(await exportJWK(privateKey)), kid: randomUUID(), use: 'sig', alg: 'ES256' };
}

function made() {
  const instance = new Provider(issuer, {
    clients: [
      {
        client_id: CLIENT,
        client_secret: secret,
        redirect_uris: known.redirect_uris,
        grant_types: ['authorization_code'],
        response_types: ['code'],
        id_token_signed_response_alg: 'ES256',
        token_endpoint_auth_method: 'client_secret_basic',
      },
    ],
    jwks: { keys },
    cookies: { keys: [secret] },
    // `amr` and `acr` are told of how somebody signed in; the rest at userinfo alone.
    claims: {
      acr: null,
      amr: null,
      auth_time: null,
      iss: null,
      sid: null,
      openid: ['sub', 'amr', 'acr'],
      email: ['email', 'email_verified'],
      profile: ['name', 'preferred_username', 'realm_access'],
    },
    acrValues: ['gold'],
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    pkce: { required: () => true },
    findAccount: (_ctx, id) =>
      known.accounts[id] && {
        accountId: id,
        claims: async () => ({ sub: id, ...known.accounts[id] }),
      },
    loadExistingGrant: async (ctx) => {
      const grant = new ctx.oidc.provider.Grant({
        clientId: ctx.oidc.client.clientId,
        accountId: ctx.oidc.session.accountId,
      });
      grant.addOIDCScope('openid profile email');
      await grant.save();
      return grant;
    },
    renderError: (ctx, out) => {
      ctx.type = 'json';
      ctx.body = out;
    },
  });
  return instance;
}

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString();
}

async function control(request, response) {
  const { rotate, withdraw, ...told } = JSON.parse(await body(request));
  Object.assign(known, told);
  if (rotate) keys = [await newKey(), ...(withdraw ? [] : keys)];
  provider = made();
  response.end('{}');
}

async function interaction(request, response) {
  const { prompt } = await provider.interactionDetails(request, response);
  if (request.method === 'GET') {
    response.setHeader('Content-Type', 'text/html');
    response.end(
      `<!doctype html><title>Provider</title><h1>Provider: ${prompt.name}</h1>` +
        '<form method="post"><label>Account <input name="account"></label>' +
        '<button name="do" value="in">Sign in there</button>' +
        '<button name="do" value="not">Cancel</button></form>',
    );
    return;
  }
  const form = new URLSearchParams(await body(request));
  const result =
    form.get('do') === 'in'
      ? { login: { accountId: form.get('account'), amr: known.amr, acr: known.acr } }
      : { error: 'access_denied', error_description: '<script>not you</script>' };
  await provider.interactionFinished(request, response, result);
}

const server = createServer(async (request, response) => {
  try {
    if (request.url === '/control') await control(request, response);
    else if (request.url.startsWith('/interaction/')) await interaction(request, response);
    else await provider.callback()(request, response);
  } catch (error) {
    process.stderr.write(`${error.stack}\n`);
    response.statusCode = 500;
    response.end(String(error));
  }
});

server.listen(Number(process.argv[3] ?? 0), '127.0.0.1', async () => {
  issuer = `http://127.0.0.1:${server.address().port}`;
  keys = [await newKey()];
  provider = made();
  process.stdout.write(`${JSON.stringify({ issuer })}\n`);
});
