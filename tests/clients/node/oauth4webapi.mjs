// Every grant through oauth4webapi, step by step as its own examples go, and access tokens checked
// offline with it as an API would (RFC 9068). Nothing is asked for that its checks can't read.

import * as oauth from 'oauth4webapi'
import { ask, end, outcome, told } from './dialogue.mjs'

const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code'
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const issuer = new URL(told.issuer)
const as = await oauth
  .discoveryRequest(issuer, { algorithm: 'oidc' })
  .then((answer) => oauth.processDiscoveryResponse(issuer, answer))
const { web, native, robot, api } = told
const identity = ({ id }) => ({ client_id: id })
const proof = ({ secret }) => (secret === null ? oauth.None() : oauth.ClientSecretBasic(secret))
const scopes = (text) => text.split(' ').sort().join(' ')
const altered = (text, at = Math.floor(text.length / 2)) =>
  text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1)

await outcome('discovery', async () => {
  const found = await oauth
    .discoveryRequest(issuer, { algorithm: 'oauth2' })
    .then((answer) => oauth.processDiscoveryResponse(issuer, answer))
  return { same: JSON.stringify(found) === JSON.stringify(as), iss: as.issuer }
})
await outcome('discovery, of another issuer', async () => {
  const other = new URL('https://login.example.com')
  return oauth.processDiscoveryResponse(other, await oauth.discoveryRequest(issuer))
})
await itself()
await signedIn()
await device()
await offline()
end()

async function introspected(token, by = api) {
  const answer = await oauth.introspectionRequest(as, identity(by), proof(by), token)
  return oauth.processIntrospectionResponse(as, identity(by), answer)
}

async function given(parameters = {}) {
  const answer = await oauth.clientCredentialsGrantRequest(as, identity(robot), proof(robot), parameters)
  return oauth.processClientCredentialsResponse(as, identity(robot), answer)
}

async function itself() {
  let token
  await outcome('client credentials', async () => {
    const { access_token, ...rest } = await given({ scope: 'storage:read' })
    token = access_token
    return rest
  })
  await outcome('client credentials, more than was granted', () => given({ scope: 'dns:write' }))
  await outcome('client credentials, wrong secret', async () => {
    const wrong = oauth.ClientSecretPost(altered(robot.secret))
    const answer = await oauth.clientCredentialsGrantRequest(as, identity(robot), wrong, {})
    return oauth.processClientCredentialsResponse(as, identity(robot), answer)
  })
  await outcome('introspection', async () => {
    const { active, scope } = await introspected(token)
    return { active, scope }
  })
  await outcome('exchange', async () => {
    const asked = {
      subject_token: told.key,
      subject_token_type: 'urn:latchgate:token-type:service_key',
      scope: 'storage:read',
    }
    const answer = await oauth.genericTokenEndpointRequest(as, identity(web), proof(web), EXCHANGE, asked)
    const { scope } = await oauth.processGenericTokenEndpointResponse(as, identity(web), answer)
    return scope
  })
  await outcome('revocation', async () => {
    const answer = await oauth.revocationRequest(as, identity(robot), proof(robot), token)
    await oauth.processRevocationResponse(answer)
    return introspected(token)
  })
}

// A public client, as an app on somebody's machine: no secret, and a port of its own.
async function authorized() {
  const verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  const nonce = oauth.generateRandomNonce()
  const uri = native.redirect_uri.replace('127.0.0.1', '127.0.0.1:51005')
  const url = new URL(as.authorization_endpoint)
  const asked = {
    client_id: native.id,
    redirect_uri: uri,
    response_type: 'code',
    scope: 'openid email offline_access storage:read',
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
  }
  for (const [name, value] of Object.entries(asked)) url.searchParams.set(name, value)
  const answer = await ask('browse', { url: url.href, press: ['Allow'] })
  return { answer: new URL(answer.url), verifier, state, nonce, uri }
}

async function redeemed({ answer, verifier, state, nonce, uri }) {
  const parameters = oauth.validateAuthResponse(as, identity(native), answer, state)
  const response = await oauth.authorizationCodeGrantRequest(
    as,
    identity(native),
    oauth.None(),
    parameters,
    uri,
    verifier,
  )
  const tokens = await oauth.processAuthorizationCodeResponse(as, identity(native), response, {
    expectedNonce: nonce,
    requireIdToken: true,
  })
  await oauth.validateApplicationLevelSignature(as, response)
  return tokens
}

async function refreshed(text) {
  const answer = await oauth.refreshTokenGrantRequest(as, identity(native), oauth.None(), text)
  return oauth.processRefreshTokenResponse(as, identity(native), answer)
}

async function signedIn() {
  let tokens
  const first = await authorized()
  await outcome('code', async () => {
    tokens = await redeemed(first)
    return scopes(tokens.scope)
  })
  await outcome('userinfo', async () => {
    const { sub } = oauth.getValidatedIdTokenClaims(tokens)
    const answer = await oauth.userInfoRequest(as, identity(native), tokens.access_token)
    const found = await oauth.processUserInfoResponse(as, identity(native), sub, answer)
    return { own: found.sub === sub }
  })
  await outcome('code, again', async () => redeemed(first))
  await outcome('code, wrong verifier', async () => {
    const again = await authorized()
    return redeemed({ ...again, verifier: oauth.generateRandomCodeVerifier() })
  })
  await outcome('code, another port', async () => {
    const again = await authorized()
    return redeemed({ ...again, uri: again.uri.replace('51005', '51006') })
  })
  await outcome('code, another nonce', async () => redeemed({ ...(await authorized()), nonce: 'another' }))
  const before = tokens.refresh_token
  await outcome('refresh', async () => {
    tokens = await refreshed(before)
    return { another: tokens.refresh_token !== before, scope: scopes(tokens.scope) }
  })
  await ask('later', { seconds: 3600 })
  await outcome('refresh, again later', () => refreshed(before))
  await outcome('refresh, of the family', () => refreshed(tokens.refresh_token))
  await outcome('introspection, of the family', () => introspected(tokens.access_token))
}

async function device() {
  const begin = async () => {
    const asked = { scope: 'storage:read' }
    const answer = await oauth.deviceAuthorizationRequest(as, identity(native), oauth.None(), asked)
    return oauth.processDeviceAuthorizationResponse(as, identity(native), answer)
  }
  const polled = async ({ device_code }) => {
    const answer = await oauth.deviceCodeGrantRequest(as, identity(native), oauth.None(), device_code)
    return oauth.processDeviceCodeResponse(as, identity(native), answer)
  }
  const begun = await begin()
  await outcome('device, pending', () => polled(begun))
  await outcome('device, allowed', async () => {
    await ask('browse', { url: begun.verification_uri_complete, press: ['Continue', 'Allow'] })
    return (await polled(begun)).scope
  })
  await outcome('device, again', () => polled(begun))
  await outcome('device, too late', async () => {
    const another = await begin()
    await ask('later', { seconds: 601 })
    return polled(another)
  })
}

async function offline() {
  const valid = async (token) => {
    const request = new Request('https://api.example/', {
      headers: { authorization: `Bearer ${token}` },
    })
    const claims = await oauth.validateJwtAccessToken(as, request, 'latchgate')
    return claims.scope
  }
  const { access_token: token } = await given({ scope: 'storage:read' })
  const now = Math.floor(Date.now() / 1000)
  const signed = (changed) => ask('signed', { token, ...changed })
  const [head, body, mark] = token.split('.')
  const claims = JSON.parse(Buffer.from(body, 'base64url').toString())
  const more = JSON.stringify({ ...claims, scope: 'storage:read storage:write' })
  const wider = Buffer.from(more).toString('base64url')
  const none = Buffer.from(JSON.stringify({ alg: 'none', typ: 'at+jwt' })).toString('base64url')
  await outcome('offline', () => valid(token))
  // It lets a token pass for 30 s more, for clocks that differ.
  await outcome('offline, ended', async () => valid(await signed({ exp: now - 60 })))
  await outcome('offline, for another audience', async () => valid(await signed({ aud: 'other' })))
  await outcome('offline, of another issuer', async () =>
    valid(await signed({ iss: 'https://login.example.com' })),
  )
  await outcome('offline, altered claims', () => valid([head, wider, mark].join('.')))
  await outcome('offline, altered signature', () => valid([head, body, altered(mark)].join('.')))
  await outcome('offline, unsigned', () => valid([none, body, ''].join('.')))
  await outcome('offline, an ID token', async () => {
    const { id_token } = await redeemed(await authorized())
    return valid(id_token)
  })
}
